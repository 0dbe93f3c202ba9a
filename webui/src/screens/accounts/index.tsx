// Who may come in: people, and programs with tokens.
import { Route, Routes } from "react-router";
import { useTranslation } from "../../i18n/use";
import { addTexts } from "../../i18n";
import { NotFound } from "../../frame/frame";
import { PasswordForm, useSession } from "../../frame/session";
import { Card, CardBody, CardTitle, Page, Tabs, useToast } from "../../ui";
import { AccountList } from "./accounts";
import en from "./texts.en.json";
import ja from "./texts.ja.json";
import { TokenList } from "./tokens";

addTexts("accounts", { en, ja });

function OwnPassword() {
  const { t } = useTranslation("accounts"), { session } = useSession(), toast = useToast();
  return (
    <Card className="inari-login">
      <CardTitle component="h2">{t("own_password")}</CardTitle>
      <CardBody><p>{t("own_password_help")}</p><PasswordForm user={session.user} onDone={() => toast.show({ title: t("password_changed") })} /></CardBody>
    </Card>
  );
}

function Screen() {
  const { t } = useTranslation("accounts"), { may } = useSession();
  return (
    <Page title={t("title")}>
      <Tabs label={t("title")} tabs={[
        ...(may("admin") ? [{ key: "accounts", title: t("accounts"), content: () => <AccountList /> }] : []),
        { key: "tokens", title: t("tokens"), content: () => <TokenList /> },
        { key: "password", title: t("own_password"), content: () => <OwnPassword /> },
      ]} />
    </Page>
  );
}

export default function Accounts() {
  return <Routes><Route index element={<Screen />} /><Route path="*" element={<NotFound />} /></Routes>;
}
