// Postfix on a device, wanted and seen; checks, a test message, the key.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { commandsLink } from "../../frame/links";
import { Alert, Button, Card, CardBody, CardTitle, ConfirmDialog, Facts, Flex, FlexItem, Foreign, Form, FormGroup, Stack, StackItem, Status, TextInput, Time } from "../../ui";
import type { Kind } from "../commands/words";
import type { TabProps } from "./detail";
import { LastJob, MayNot, useGive } from "./give";

type Asked = Extract<Kind, "service-stop" | "service-restart" | "drain" | "rotate-key">;

function Postfix({ device, ask, begin, may }: TabProps & { ask: (k: Asked) => void; begin: (k: Kind) => void; may: boolean }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), p = device.running?.postfix, stopped = p?.desired?.state === "stopped";
  return (
    <Card>
      <CardTitle component="h2">{t("postfix")}</CardTitle>
      <CardBody>
        <Facts items={[
          { label: t("seen"), value: p?.state ? <Status tone={p.state === "running" ? "good" : stopped ? "warn" : "bad"} text={t(`postfix_${p.state}`)} /> : common("unknown") },
          { label: t("ordered"), value: <>{t(`postfix_${p?.desired?.state ?? "running"}`)} {p?.desired?.by ? <small>{t("ordered_by", { by: p.desired.by })} <Time at={p.desired.since} /> <Foreign text={p.desired.reason} /></small> : null}</> },
          { label: t("takes_mail"), value: device.drain ? <Status tone="warn" text={common("no")} /> : stopped ? <Status tone="warn" text={common("no")} /> : <Status tone="good" text={common("yes")} /> },
          ...(p?.version ? [{ label: t("version"), value: <Foreign text={p.version} /> }] : []),
          ...(p?.pid ? [{ label: t("process"), value: <>{String(p.pid)} <small>{t("since")} <Time at={p.since} /></small></> }] : []),
        ]} />
        {stopped ? <Alert isInline variant="warning" component="p" title={t("stopped_help")} /> : null}
        <Flex spaceItems={{ default: "spaceItemsSm" }} className="inari-orders">
          {stopped || p?.state === "stopped" ? <FlexItem><Button isDisabled={!may} onClick={() => begin("service-start")}>{t("do_start")}</Button></FlexItem> : null}
          <FlexItem><Button variant="secondary" isDisabled={!may} onClick={() => ask("service-restart")}>{t("do_restart")}</Button></FlexItem>
          {stopped ? null : <FlexItem><Button variant="secondary" isDanger isDisabled={!may} onClick={() => ask("service-stop")}>{t("do_stop")}</Button></FlexItem>}
          {device.drain ? <FlexItem><Button isDisabled={!may} onClick={() => begin("undrain")}>{t("do_undrain")}</Button></FlexItem>
            : <FlexItem><Button variant="secondary" isDisabled={!may} onClick={() => ask("drain")}>{t("do_drain")}</Button></FlexItem>}
        </Flex>
      </CardBody>
    </Card>
  );
}

function TestMessage({ onSend, may }: { onSend: (recipient: string, sender: string) => void; may: boolean }) {
  const { t } = useTranslation("devices"), [recipient, setRecipient] = useState(""), [sender, setSender] = useState("");
  return (
    <Form isHorizontal onSubmit={(e) => { e.preventDefault(); if (recipient !== "") onSend(recipient, sender); }}>
      <FormGroup label={t("test_recipient")} fieldId="test-recipient" isRequired>
        <TextInput id="test-recipient" type="email" maxLength={320} isRequired value={recipient} onChange={(_, v) => setRecipient(v)} />
      </FormGroup>
      <FormGroup label={t("test_sender")} fieldId="test-sender">
        <TextInput id="test-sender" type="email" maxLength={320} value={sender} onChange={(_, v) => setSender(v)} />
      </FormGroup>
      <div><Button type="submit" variant="secondary" isDisabled={!may || recipient === ""}>{t("do_test")}</Button></div>
    </Form>
  );
}

export function ServiceTab({ device, etag }: TabProps) {
  const { t } = useTranslation("devices"), { may, give, begin, id } = useGive(device), [asked, setAsked] = useState<Asked | null>(null);
  const argsOf = (kind: Kind) => (kind.startsWith("service-") ? { service: "postfix" as const } : undefined);
  const order = (kind: Kind, reason = "") => { const args = argsOf(kind); return { kind, reason, ...(args ? { args } : {}) }; };
  return (
    <Stack hasGutter>
      <StackItem><MayNot device={device} /></StackItem>
      {id === "" ? null : <StackItem><Card><CardTitle component="h2">{t("last_order")}</CardTitle><CardBody><LastJob id={id} /></CardBody></Card></StackItem>}
      <StackItem><Postfix device={device} etag={etag} may={may} ask={setAsked} begin={(k) => begin(order(k))} /></StackItem>
      <StackItem>
        <Card>
          <CardTitle component="h2">{t("self_check")}</CardTitle>
          <CardBody><p>{t("self_check_help")}</p><Button variant="secondary" isDisabled={!may} onClick={() => begin(order("self-check"))}>{t("do_check")}</Button></CardBody>
        </Card>
      </StackItem>
      <StackItem>
        <Card>
          <CardTitle component="h2">{t("test_message")}</CardTitle>
          <CardBody><p>{t("test_help")}</p><TestMessage may={may} onSend={(recipient, sender) => begin({ kind: "test-message", args: { recipient, ...(sender === "" ? {} : { sender }) } })} /></CardBody>
        </Card>
      </StackItem>
      <StackItem>
        <Card>
          <CardTitle component="h2">{t("key")}</CardTitle>
          <CardBody><p>{t("rotate_help")}</p><Button variant="secondary" isDisabled={!may} onClick={() => setAsked("rotate-key")}>{t("do_rotate")}</Button></CardBody>
        </Card>
      </StackItem>
      <StackItem><Link to={commandsLink({ device: device.name })}>{t("all_commands")}</Link></StackItem>
      {asked === null ? null : (
        <ConfirmDialog title={t(`ask_${asked}`, { name: device.name })} verb={t(`verb_${asked}`)} danger={asked === "service-stop"} reason="optional" onClose={() => setAsked(null)} onConfirm={(reason) => give(order(asked, reason))}>
          <p>{t(`ask_${asked}_help`)}</p>
        </ConfirmDialog>
      )}
    </Stack>
  );
}
