import { Route, Routes } from "react-router";
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { useSession } from "../../frame/session";
import { Page, Tabs } from "../../ui";
import { Backup } from "./backup";
import { Export } from "./export";
import { Import } from "./import";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("io", { en, ja });

function Screen() {
  const { t } = useTranslation("io"), { may } = useSession();
  return (
    <Page title={t("title")}>
      <Tabs label={t("title")} tabs={[
        ...(may("settings:read") ? [{ key: "export", title: t("export"), content: () => <Export /> }] : []),
        { key: "import", title: t("import"), content: () => <Import /> },
        { key: "backup", title: t("backup"), content: () => <Backup /> },
      ]} />
    </Page>
  );
}

export default function ImportExport() {
  return <Routes><Route index element={<Screen />} /><Route path="*" element={<NotFound />} /></Routes>;
}
