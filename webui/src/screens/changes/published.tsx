// After publishing: on to the rollout, with the way back in a toast.
import { useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import { send } from "../../api/use";
import { useToast } from "../../ui";
import type { Published } from "./publish";

/** Says what was published, offers to take it back, and goes to the rollout (or the revision, where no device changes). */
export function usePublished(): (done: Published) => void {
  const { t } = useTranslation("changes"), toast = useToast(), go = useNavigate();
  const follow = (done: Published) => void go(done.rollout_id ? `/rollouts/${done.rollout_id}` : `/changes/${done.pub}`);
  const undo = async (pub: number) => {
    try {
      const back = await send("post", "/api/v1/revisions/{pub}/undo", { path: { pub }, body: { reason: t("undo_reason", { pub }) } });
      toast.show({ title: t("undone", { pub, now: back.data.pub }) });
      follow(back.data);
    } catch (e) {
      toast.fail(e);
      void go(`/changes/${pub}`);
    }
  };
  return (done) => {
    const changed = done.devices.filter((d) => d.changed).length;
    toast.show({ title: t("published", { pub: done.pub }), lines: [t("published_devices", { count: changed })], action: { text: t("undo"), run: () => void undo(done.pub) } });
    follow(done);
  };
}
