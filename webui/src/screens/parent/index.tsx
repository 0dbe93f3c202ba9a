// The parent itself: is it well, what its devices trust, what it keeps, and what to do when it knows less than they do.
import { Route, Routes } from "react-router";
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { useSession } from "../../frame/session";
import { Page, Tabs } from "../../ui";
import { Health } from "./health";
import { Policy } from "./policy";
import { Recovery } from "./recovery";
import en from "./texts.en.json";
import ja from "./texts.ja.json";
import { Trust } from "./trust";

addTexts("parent", { en, ja });

function Screen() {
  const { t } = useTranslation("parent"), { may } = useSession();
  return (
    <Page title={t("title")}>
      <Tabs label={t("title")} tabs={[
        { key: "health", title: t("health"), content: () => <Health /> },
        { key: "trust", title: t("trust"), content: () => <Trust /> },
        ...(may("events:read") ? [{ key: "policy", title: t("policy"), content: () => <Policy /> }] : []),
        { key: "recovery", title: t("recovery"), content: () => <Recovery /> },
      ]} />
    </Page>
  );
}

export default function Parent() {
  return <Routes><Route index element={<Screen />} /><Route path="*" element={<NotFound />} /></Routes>;
}
