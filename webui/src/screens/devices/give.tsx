// Giving a device an order and following it: the order's id is in the address, so that a reload shows how it goes on.
import { useTranslation } from "../../i18n/use";
import { send, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { useToast, useUrlState } from "../../ui";
import { JobView } from "../commands/job";
import type { Kind } from "../commands/words";
import type { Schemas } from "../../api/client";
import { type Device, inService } from "./words";

/** The types have members with a default as if they had to be given. */
type Args = Partial<NonNullable<Schemas["CommandNew"]["args"]>>;
export interface Given { kind: Kind; args?: Args; reason?: string }

/** `give` throws what the parent said (for a dialog); `begin` shows it in a toast. */
export function useGive(device: Device, name = "job") {
  const { may } = useSession(), url = useUrlState(), toast = useToast();
  const order = useSend((g: Given) => send("post", "/api/v1/devices/{id}/commands", { path: { id: device.id }, body: { kind: g.kind, ...(g.args ? { args: g.args } : {}), ...(g.reason ? { reason: g.reason } : {}) } as Schemas["CommandNew"] }));
  const give = async (g: Given) => {
    const answer = await order.mutateAsync(g);
    url.set({ [name]: answer.data.id });
    return answer.data;
  };
  return { may: may("command") && inService(device), give, begin: (g: Given) => void give(g).catch(toast.fail), busy: order.isPending, id: url.get(name) };
}

export function MayNot({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession();
  if (!inService(device)) return <p>{t("not_in_service")}</p>;
  return may("command") ? null : <p>{common("forbidden")} {common("forbidden_help", { permission: "command" })}</p>;
}

export function LastJob({ id }: { id: string }) {
  return id === "" ? null : <JobView key={id} id={id} />;
}
