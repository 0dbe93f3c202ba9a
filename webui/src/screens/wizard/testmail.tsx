// One message through the gateway to a mailbox of the site, and what became of it in the words of its Postfix.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { Alert, ApiCalls, Button, ErrorBox, Form, FormGroup, FormSelect, FormSelectOption, Foreign, HelperText, HelperTextItem, Loaded, Spinner, TextInput } from "../../ui";
import type { Standing } from "./standing";

const OPEN = ["queued", "delivered", "running"];
interface Result { status?: string; queue_id?: string; text?: string; relay?: string }

function Outcome({ id, onDone }: { id: string; onDone: () => void }) {
  const { t } = useTranslation("wizard"), order = useGet("/api/v1/commands/{id}", { path: { id } }, { every: 1000 });
  return (
    <Loaded of={order}>
      {({ data: c }) => {
        const r = (c.result ?? {}) as Result, sent = c.state === "done" && (r.status === "sent" || r.status === "delivered");
        if (OPEN.includes(c.state)) return <p role="status"><Spinner size="md" aria-label={t("test_runs")} /> {t("test_runs")}</p>;
        return (
          <Alert variant={sent ? "success" : "danger"} isInline component="p" role="status" title={t(sent ? "test_sent" : "test_failed")}
            actionLinks={<>{r.queue_id ? <Link to={`/messages?queue_id=${encodeURIComponent(r.queue_id)}`}>{t("to_message")}</Link> : null} {sent ? <Button variant="link" isInline onClick={onDone}>{t("go_on")}</Button> : null}</>}>
            {r.text ? <p>{t("test_said")} <q><Foreign text={r.text} /></q></p> : null}
            {sent ? null : <p>{t("test_remedy")}</p>}
          </Alert>
        );
      }}
    </Loaded>
  );
}

export function TestStep({ standing, onDone }: { standing: Standing; onDone: () => void }) {
  const { t } = useTranslation("wizard"), able = standing.devices.filter((d) => d.mode === "manage");
  const [device, setDevice] = useState(able[0]?.id ?? ""), [to, setTo] = useState(standing.domains[0] ? `postmaster@${standing.domains[0]}` : ""), [order, setOrder] = useState(standing.tests[0]?.id ?? "");
  const at = device || (able[0]?.id ?? "");
  const give = useSend(async () => {
    const c = await send("post", "/api/v1/devices/{id}/commands", { path: { id: at }, body: { kind: "test-message", args: { recipient: to } as Schemas["CommandNew"]["args"], expires_in_s: 120 } });
    setOrder((c.data as Schemas["Command"]).id);
  });
  return (
    <Form onSubmit={(e) => { e.preventDefault(); give.mutate(); }}>
      <p>{t("test_help")}</p>
      {able.length === 0 ? <Alert variant="info" isInline component="p" title={t("no_managed")} /> : null}
      <ErrorBox error={give.error} />
      {able.length > 1 ? (
        <FormGroup label={t("device")} fieldId="test-device">
          <FormSelect id="test-device" value={at} onChange={(_, v) => setDevice(v)}>{able.map((d) => <FormSelectOption key={d.id} value={d.id} label={d.name} />)}</FormSelect>
        </FormGroup>
      ) : null}
      <FormGroup label={t("recipient")} fieldId="test-to" isRequired>
        <TextInput id="test-to" type="email" isRequired maxLength={320} value={to} onChange={(_, v) => setTo(v)} />
        <HelperText><HelperTextItem>{t("recipient_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <div>
        <Button type="submit" isDisabled={at === "" || to === "" || give.isPending} isLoading={give.isPending}>{t("test_send")}</Button>{" "}
        <ApiCalls call={{ method: "POST", path: `/api/v1/devices/${at || "ID"}/commands`, body: { kind: "test-message", args: { recipient: to } }, inarictl: `inarictl test-message ${able.find((d) => d.id === at)?.name ?? "DEVICE"} --to ADDRESS` }} />
      </div>
      {order === "" ? null : <Outcome id={order} onDone={onDone} />}
    </Form>
  );
}
