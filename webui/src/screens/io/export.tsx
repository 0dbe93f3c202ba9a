// The published configuration as one file: names instead of ids, no secrets, the same for the same settings.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, useSend } from "../../api/use";
import { ApiCalls, Button, Card, CardBody, CardTitle, Flex, FlexItem, List, ListItem, useToast } from "../../ui";

/** A file of the browser's own download folder; nothing is asked of another host. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" })), a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function Export() {
  const { t } = useTranslation("io"), toast = useToast();
  const save = useSend(async () => {
    const doc = (await get("/api/v1/config/export")).data as Schemas["ConfigDocument"];
    download(`inari-config-${doc.pub ?? 0}.json`, `${JSON.stringify(doc, null, 2)}\n`);
    toast.show({ title: t("exported", { pub: doc.pub ?? 0 }) });
  });
  return (
    <Card>
      <CardTitle component="h2">{t("export_title")}</CardTitle>
      <CardBody>
        <p>{t("export_help")}</p>
        <p>{t("left_out")}</p>
        <List>{(["accounts", "keys", "files", "history", "parent"] as const).map((x) => <ListItem key={x}>{t(`left_out_${x}`)}</ListItem>)}</List>
        <Flex>
          <FlexItem><Button isLoading={save.isPending} onClick={() => save.mutate(undefined, { onError: toast.fail })}>{t("download")}</Button></FlexItem>
          <FlexItem><ApiCalls call={{ path: "/api/v1/config/export", inarictl: "inarictl export --json" }} /></FlexItem>
        </Flex>
      </CardBody>
    </Card>
  );
}
