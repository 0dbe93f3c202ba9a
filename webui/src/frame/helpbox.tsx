// What this screen is for, the keys, where more is.
import { useLocation } from "react-router";
import { addTexts } from "../i18n";
import { useTranslation } from "../i18n/use";
import { Facts, Modal, ModalBody, ModalHeader } from "../ui";
import { AreaLink } from "./arealink";
import { areas } from "./areas";
import en from "./help.en.json";
import ja from "./help.ja.json";
import { keysOn } from "./keys";
import { useSession } from "./session";

addTexts("help", { en, ja });

export default function HelpBox({ onClose }: { onClose: () => void }) {
  const { t: common } = useTranslation(), { t } = useTranslation("help"), { may } = useSession(), { pathname } = useLocation(), here = areas.find((a) => a.path === pathname.split("/")[1]);
  const keys = [{ label: "/", value: common("search") }, { label: "?", value: common("help") }, { label: "Esc", value: t("key_escape") },
    ...areas.filter((a) => a.permission === null || may(a.permission)).map((a) => ({ label: `g ${a.key}`, value: common(a.text) }))];
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="help-title">
      <ModalHeader title={common("help")} labelId="help-title" />
      <ModalBody tabIndex={0}>
        {here ? <><h2 className="inari-help-title">{common(here.text)}</h2><p>{t(`help_${here.path}`)}</p></> : null}
        <p className="inari-above"><AreaLink to="/reference">{common("nav_reference")}</AreaLink></p>
        <h2 className="inari-help-title">{t("keys")}</h2>
        <p>{t(keysOn() ? "keys_switch" : "keys_are_off")}</p>
        <Facts items={keys.map((k) => ({ label: k.label, value: k.value }))} />
      </ModalBody>
    </Modal>
  );
}
