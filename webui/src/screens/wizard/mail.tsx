// For which domains mail is taken, where it goes, who may send to the outside: one draft, checked by the parent, published.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useSend } from "../../api/use";
import { Alert, ApiCalls, Button, ErrorBox, Form, FormGroup, HelperText, HelperTextItem, TextArea, TextInput, useToast } from "../../ui";
import type { Placement } from "./standing";

type Changes = Schemas["Changes"];
const words = (text: string) => [...new Set(text.split(/[\s,;]+/).filter((x) => x !== ""))];
/** "mail.example.com" and "10.0.0.5" are hosts; "[…]:port" is as the setting wants it already. */
export function nextHop(text: string): string {
  const x = text.trim();
  if (x === "" || x.startsWith("[")) return x;
  const port = /^(.*):(\d+)$/.exec(x);
  if (port && !port[1]?.includes(":")) return `[${port[1]}]:${port[2]}`;
  return `[${x}]:25`;
}
/** The address in a next hop when it is one: the server mail goes to is mostly the one that sends. */
export function addressOf(hop: string): string {
  const x = /^\[([0-9a-fA-F.:]+)\](?::\d+)?$/.exec(nextHop(hop))?.[1] ?? "";
  return /^\d+\.\d+\.\d+\.\d+$/.test(x) || x.includes(":") ? x : "";
}

export function settingsOf(domains: string, hop: string, networks: string, smartHost: string): Record<string, unknown> {
  const names = words(domains.toLowerCase());
  return {
    "smtp.relay_domains": Object.fromEntries(names.map((d) => [d, {}])),
    "smtp.routes": Object.fromEntries(names.map((d) => [d, { next_hop: nextHop(hop) }])),
    ...(words(networks).length === 0 ? {} : { "smtp.relay_networks": Object.fromEntries(words(networks).map((n) => [n, {}])) }),
    ...(smartHost.trim() === "" ? {} : { "smtp.relayhost": nextHop(smartHost) }),
  };
}

export function MailStep({ placement, domains: there, onDone }: { placement: Placement | null; domains: string[]; onDone: () => void }) {
  const { t } = useTranslation("wizard"), toast = useToast();
  const [domains, setDomains] = useState(""), [hop, setHop] = useState(""), [networks, setNetworks] = useState<string | null>(null), [smart, setSmart] = useState("");
  const relay = networks ?? addressOf(hop), fleet = settingsOf(domains, hop, relay, smart);
  const publish = useSend(async () => {
    const draft = await send("post", "/api/v1/drafts", { body: { title: t("draft_title") } }), id = (draft.data as Schemas["Draft"]).id;
    try {
      await send("patch", "/api/v1/drafts/{id}", { path: { id }, body: { fleet } as Changes, ifMatch: draft.etag });
      await send("post", "/api/v1/drafts/{id}/publish", { path: { id }, body: { reason: t("publish_reason") } });
    } catch (e) {
      // What was wrong is on the page; no half a draft stays behind.
      await get("/api/v1/drafts/{id}", { path: { id } }).then((d) => send("delete", "/api/v1/drafts/{id}", { path: { id }, ifMatch: d.etag })).catch(() => undefined);
      throw e;
    }
    toast.show({ title: t("published") });
    onDone();
  });
  return (
    <Form onSubmit={(e) => { e.preventDefault(); publish.mutate(); }}>
      {there.length > 0 ? <Alert variant="success" isInline component="p" title={t("mail_there", { count: there.length, domains: there.slice(0, 5).join(", ") })}>{t("mail_there_help")}</Alert> : null}
      <ErrorBox error={publish.error} />
      <FormGroup label={t("domains")} fieldId="wizard-domains" isRequired>
        <TextArea id="wizard-domains" rows={3} isRequired value={domains} onChange={(_, v) => setDomains(v)} spellCheck={false} />
        <HelperText><HelperTextItem>{t("domains_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("next_hop")} fieldId="wizard-hop" isRequired>
        <TextInput id="wizard-hop" isRequired value={hop} maxLength={300} onChange={(_, v) => setHop(v)} spellCheck={false} autoComplete="off" />
        <HelperText><HelperTextItem>{t("next_hop_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("networks")} fieldId="wizard-networks">
        <TextInput id="wizard-networks" value={relay} onChange={(_, v) => setNetworks(v)} spellCheck={false} autoComplete="off" />
        <HelperText><HelperTextItem>{t("networks_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("smart_host")} fieldId="wizard-smart">
        <TextInput id="wizard-smart" value={smart} maxLength={300} onChange={(_, v) => setSmart(v)} spellCheck={false} autoComplete="off" />
        <HelperText><HelperTextItem>{t(placement === "inside" ? "smart_host_inside" : "smart_host_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <div>
        <Button type="submit" isDisabled={words(domains).length === 0 || hop.trim() === "" || publish.isPending} isLoading={publish.isPending}>{t("publish")}</Button>{" "}
        <ApiCalls call={{ method: "PATCH", path: "/api/v1/drafts/ID", body: { changes: { fleet } }, inarictl: "inarictl set KEY=VALUE && inarictl publish --reason TEXT" }} />
      </div>
    </Form>
  );
}
