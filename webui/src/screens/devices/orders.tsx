// What can be ordered about a device itself: hold, mode, approve, revoke and the like.  What can be taken back is done at
// once; what hits mail, or cannot be taken back, is asked for first.
import { useState } from "react";
import { useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Button, ConfirmDialog, durationText, Dropdown, DropdownItem, DropdownList, Facts, Flex, FlexItem, Foreign, Form, FormGroup, FormSelect, FormSelectOption, List, ListItem, Loaded, MenuToggle, Radio, TextInput, Time, useToast,
} from "../../ui";
import { type Device, inService } from "./words";

export type Order = "hold" | "release" | "manage" | "observe" | "rename" | "placement" | "approve" | "reject" | "revoke" | "reinstate" | "retire" | "delete";
const FIRST: readonly Order[] = ["approve", "reject", "release"];
interface DialogProps { device: Device; etag: string; onClose: () => void }

/** What the parent would refuse in this state is not offered. */
export function ordersOf(d: Device): Order[] {
  const waits = d.state === "pending" || d.state === "reattach", list: Order[] = [];
  if (waits) list.push("approve", "reject");
  if (d.state === "held") list.push("release");
  else if (inService(d)) list.push("hold");
  if (inService(d)) list.push(d.mode === "manage" ? "observe" : "manage");
  if (d.state === "revoked") list.push("reinstate");
  if (d.state !== "retired") list.push("rename", "placement");
  if (d.state !== "revoked" && d.state !== "retired" && !waits) list.push("revoke");
  if (d.state !== "retired") list.push("retire");
  if (d.state === "retired" || d.state === "rejected") list.push("delete");
  return list;
}

function HoldDialog({ device, onClose }: DialogProps) {
  const { t } = useTranslation("devices"), [minutes, setMinutes] = useState("60");
  const hold = useSend((reason: string) => send("post", "/api/v1/devices/{id}/hold", { path: { id: device.id }, body: { reason, minutes: Number(minutes) } }));
  return (
    <ConfirmDialog title={t("hold_title", { name: device.name })} verb={t("order_hold")} reason="required" onConfirm={(r) => hold.mutateAsync(r)} onClose={onClose}>
      <p>{t("hold_help")}</p>
      <Form>
        <FormGroup label={t("hold_for")} fieldId="hold-for">
          <FormSelect id="hold-for" value={minutes} onChange={(_, v) => setMinutes(v)}>
            {[15, 60, 240, 1440, 10080].map((m) => <FormSelectOption key={m} value={String(m)} label={durationText(m * 60)} />)}
          </FormSelect>
        </FormGroup>
      </Form>
    </ConfirmDialog>
  );
}

/** From watching to writing: the device itself has said what that would change. */
function WouldChange({ id }: { id: string }) {
  const { t } = useTranslation("devices"), status = useGet("/api/v1/devices/{id}/status", { path: { id } });
  return (
    <Loaded of={status}>
      {({ data }) => {
        const items = ((data.status as { would_change?: { item?: string; file?: string; expected?: string | null; found?: string | null }[] }).would_change ?? []);
        if (items.length === 0) return <p>{t("manage_changes_nothing")}</p>;
        return (
          <>
            <p>{t("manage_changes", { count: items.length })}</p>
            <List isPlain className="inari-short">
              {items.slice(0, 100).map((x, i) => <ListItem key={i}><code><Foreign text={`${x.file ?? ""}:${x.item ?? ""}`} /></code> <Foreign text={x.found ?? "–"} /> → <Foreign text={x.expected ?? "–"} /></ListItem>)}
            </List>
          </>
        );
      }}
    </Loaded>
  );
}

function ModeDialog({ device, etag, onClose, to }: DialogProps & { to: "manage" | "observe" }) {
  const { t } = useTranslation("devices");
  const change = useSend(() => send("patch", "/api/v1/devices/{id}", { path: { id: device.id }, ifMatch: etag, body: { mode: to } }));
  return (
    <ConfirmDialog title={t(`${to}_title`, { name: device.name })} verb={t(`order_${to}`)} onConfirm={() => change.mutateAsync()} onClose={onClose}>
      <p>{t(`${to}_help`)}</p>
      {to === "manage" ? <WouldChange id={device.id} /> : null}
    </ConfirmDialog>
  );
}

function ApproveDialog({ device, onClose }: DialogProps) {
  const { t } = useTranslation("devices"), before = device.replaces, [as, setAs] = useState<"new" | "replacement" | "">(""), navigate = useNavigate();
  const approve = useSend(() => send("post", "/api/v1/devices/{id}/approve", { path: { id: device.id }, body: as === "" ? {} : { as } }));
  const go = async () => {
    const answer = await approve.mutateAsync();
    if (answer.data.id !== device.id) void navigate(`/devices/${answer.data.id}`);
  };
  return (
    <ConfirmDialog title={t("approve_title", { name: device.name })} verb={t("order_approve")} disabled={!!before && as === ""} onConfirm={go} onClose={onClose}>
      <p>{t("approve_help")}</p>
      <Facts items={[
        { label: t("key"), value: <code>{device.key?.kid}</code> },
        { label: t("address"), value: <Foreign text={device.address} /> },
        { label: t("enrolled_at"), value: <Time at={device.enrolled_at} /> },
      ]} />
      {before ? (
        <FormGroup role="radiogroup" label={t("approve_replaces", { name: before.name })} fieldId="approve-as">
          <Radio id="approve-replacement" name="approve-as" label={t("approve_replacement", { name: before.name })} isChecked={as === "replacement"} onChange={() => setAs("replacement")} />
          <Radio id="approve-new" name="approve-as" label={t("approve_new")} isChecked={as === "new"} onChange={() => setAs("new")} />
        </FormGroup>
      ) : null}
    </ConfirmDialog>
  );
}

function ChangeDialog({ device, etag, onClose, what }: DialogProps & { what: "rename" | "placement" }) {
  const { t } = useTranslation("devices"), now = what === "rename" ? device.name : (device.placement ?? "edge"), [value, setValue] = useState<string>(now);
  const change = useSend(() => send("patch", "/api/v1/devices/{id}", { path: { id: device.id }, ifMatch: etag, body: what === "rename" ? { name: value } : { placement: value as "edge" | "inner" } }));
  return (
    <ConfirmDialog title={t(`${what}_title`, { name: device.name })} verb={t(`order_${what}`)} disabled={value === now || value === ""} onConfirm={() => change.mutateAsync()} onClose={onClose}>
      <p>{t(`${what}_help`)}</p>
      <Form>
        <FormGroup label={t(what === "rename" ? "name" : "placement")} fieldId="device-value">
          {what === "rename" ? <TextInput id="device-value" value={value} maxLength={63} onChange={(_, v) => setValue(v)} /> : (
            <FormSelect id="device-value" value={value} onChange={(_, v) => setValue(v)}>
              {(["edge", "inner"] as const).map((p) => <FormSelectOption key={p} value={p} label={t(`placement_${p}`)} />)}
            </FormSelect>
          )}
        </FormGroup>
      </Form>
    </ConfirmDialog>
  );
}

function EndDialog({ device, etag, onClose, what }: DialogProps & { what: "reject" | "revoke" | "reinstate" | "retire" | "delete" }) {
  const { t } = useTranslation("devices"), path = { id: device.id }, navigate = useNavigate(), final = what === "revoke" || what === "retire" || what === "delete";
  const order = useSend(async (reason: string): Promise<void> => {
    if (what === "delete") await send("delete", "/api/v1/devices/{id}", { path, ifMatch: etag });
    else if (what === "revoke") await send("post", "/api/v1/devices/{id}/revoke", { path, body: { reason } });
    else if (what === "reinstate") await send("post", "/api/v1/devices/{id}/reinstate", { path, body: { reason } });
    else await send("post", what === "reject" ? "/api/v1/devices/{id}/reject" : "/api/v1/devices/{id}/retire", { path, body: {} });
    if (what === "delete") void navigate("/devices");
  });
  return (
    <ConfirmDialog title={t(`${what}_title`, { name: device.name })} verb={t(`order_${what}`)} danger={what !== "reinstate"} onConfirm={(r) => order.mutateAsync(r)} onClose={onClose}
      {...(final ? { typed: device.name } : {})} {...(what === "revoke" || what === "reinstate" ? { reason: "required" as const } : {})}>
      <p>{t(`${what}_help`)}</p>
    </ConfirmDialog>
  );
}

/** "short": only what cannot wait, for a list. */
export function DeviceOrders({ device, etag, short = false }: { device: Device; etag: string; short?: boolean }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession(), toast = useToast();
  const [asked, setAsked] = useState<Order | null>(null), [open, setOpen] = useState(false);
  const release = useSend(() => send("post", "/api/v1/devices/{id}/release", { path: { id: device.id }, body: {} }));
  const all = ordersOf(device), first = all.filter((o) => FIRST.includes(o)), rest = short ? [] : all.filter((o) => !FIRST.includes(o));
  if (!may("device:write")) return <small>{common("forbidden_help", { permission: "device:write" })}</small>;
  const begin = async (o: Order) => {
    setOpen(false);
    if (o !== "release") return setAsked(o);
    try {
      await release.mutateAsync();
      toast.show({ title: t("released", { name: device.name }), action: { text: t("order_hold"), run: () => setAsked("hold") } });
    } catch (e) {
      toast.fail(e);
    }
    return undefined;
  };
  const close = () => setAsked(null), props = { device, etag, onClose: close };
  return (
    <Flex spaceItems={{ default: "spaceItemsSm" }}>
      {first.map((o) => <FlexItem key={o}><Button variant={o === "reject" ? "secondary" : "primary"} onClick={() => void begin(o)}>{t(`order_${o}`)}</Button></FlexItem>)}
      {rest.length === 0 ? null : (
        <FlexItem>
          <Dropdown isOpen={open} onOpenChange={setOpen} popperProps={{ position: "right" }} toggle={(ref) => <MenuToggle ref={ref} isExpanded={open} onClick={() => setOpen(!open)}>{t("actions")}</MenuToggle>}>
            <DropdownList>
              {rest.map((o) => <DropdownItem key={o} isDanger={o === "revoke" || o === "retire" || o === "delete"} onClick={() => void begin(o)}>{t(`order_${o}`)}</DropdownItem>)}
            </DropdownList>
          </Dropdown>
        </FlexItem>
      )}
      {asked === "hold" ? <HoldDialog {...props} /> : null}
      {asked === "manage" || asked === "observe" ? <ModeDialog {...props} to={asked} /> : null}
      {asked === "approve" ? <ApproveDialog {...props} /> : null}
      {asked === "rename" || asked === "placement" ? <ChangeDialog {...props} what={asked} /> : null}
      {asked === "reject" || asked === "revoke" || asked === "reinstate" || asked === "retire" || asked === "delete" ? <EndDialog {...props} what={asked} /> : null}
    </Flex>
  );
}
