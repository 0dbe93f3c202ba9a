// "The same by API": what this list or form asks of the parent, as curl and as inarictl.  A token stands as $TOKEN, and
// nothing secret is ever put into the text.
import { useState } from "react";
import { useTranslation } from "../i18n/use";
import { Button, CodeBlock, CodeBlockCode, Modal, ModalBody, ModalFooter, ModalHeader } from "./kit";
import { useToast } from "./toast";

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string; // with its query: "/api/v1/devices?limit=50"
  body?: unknown;
  inarictl?: string;
}
const quoted = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`;

export function curlText({ method = "GET", path, body }: Call, origin = window.location.origin): string {
  const parts = ["curl", "-H", '"Authorization: Bearer $TOKEN"'];
  if (method !== "GET") parts.push("-X", method);
  if (body !== undefined) parts.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(body)));
  return [...parts, quoted(origin + path)].join(" ");
}

export function ApiCalls({ call }: { call: Call }) {
  const { t } = useTranslation(), toast = useToast(), [open, setOpen] = useState(false);
  const copy = async (text: string) => {
    await navigator.clipboard.writeText(text);
    toast.show({ title: t("copied") });
  };
  return (
    <>
      <Button variant="link" onClick={() => setOpen(true)}>{t("api_call")}</Button>
      {open ? (
        <Modal isOpen variant="medium" onClose={() => setOpen(false)} aria-labelledby="calls-title">
          <ModalHeader title={t("api_call")} labelId="calls-title" />
          <ModalBody>
            <p>{t("curl_note")}</p>
            <CodeBlock><CodeBlockCode>{curlText(call)}</CodeBlockCode></CodeBlock>
            {call.inarictl ? <CodeBlock><CodeBlockCode>{call.inarictl}</CodeBlockCode></CodeBlock> : null}
          </ModalBody>
          <ModalFooter>
            <Button onClick={() => void copy(curlText(call))}>{t("copy_curl")}</Button>
            {call.inarictl ? <Button variant="secondary" onClick={() => void copy(call.inarictl ?? "")}>{t("copy_inarictl")}</Button> : null}
            <Button variant="link" onClick={() => setOpen(false)}>{t("close")}</Button>
          </ModalFooter>
        </Modal>
      ) : null}
    </>
  );
}
