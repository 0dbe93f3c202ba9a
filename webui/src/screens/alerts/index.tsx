import { Route, Routes } from "react-router";
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { ApiCalls, Page, Tabs, useUrlState } from "../../ui";
import { AlertList } from "./alerts";
import { AlertView } from "./alert";
import { ChannelList } from "./channels";
import { NoticeList } from "./notices";
import { RuleList } from "./rules";
import { SilenceList } from "./silences";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("alerts", { en, ja });

const CALLS: Record<string, { path: string; inarictl: string }> = {
  alerts: { path: "/api/v1/alerts", inarictl: "inarictl alerts" },
  rules: { path: "/api/v1/alert-rules", inarictl: "inarictl alert-rules" },
  channels: { path: "/api/v1/alert-channels", inarictl: "inarictl alert-channels" },
  silences: { path: "/api/v1/alert-silences", inarictl: "inarictl silences" },
  notices: { path: "/api/v1/alert-notices", inarictl: "inarictl alert-notices" },
};

function Home() {
  const { t } = useTranslation("alerts"), url = useUrlState(), call = CALLS[url.get("tab")] ?? { path: "/api/v1/alerts", inarictl: "inarictl alerts" };
  return (
    <Page title={t("title")} actions={<ApiCalls call={call} />}>
      <Tabs label={t("title")} tabs={[
        { key: "alerts", title: t("tab_alerts"), content: () => <AlertList /> },
        { key: "rules", title: t("tab_rules"), content: () => <RuleList /> },
        { key: "channels", title: t("tab_channels"), content: () => <ChannelList /> },
        { key: "silences", title: t("tab_silences"), content: () => <SilenceList /> },
        { key: "notices", title: t("tab_notices"), content: () => <NoticeList /> },
      ]} />
    </Page>
  );
}

export default function Alerts() {
  return <Routes><Route index element={<Home />} /><Route path=":id" element={<AlertView />} /><Route path="*" element={<NotFound />} /></Routes>;
}
