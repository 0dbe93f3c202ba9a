// What of the devices' events is kept.  Dropping is for good: how much would go is asked of the parent before it is done.
import { useEffect, useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import {
  Alert, ApiCalls, Button, bytesText, ConfirmDialog, ErrorBox, Facts, Foreign, Form, FormGroup, FormSelect, FormSelectOption, HelperText, HelperTextItem, Loaded, numberText, TextInput, useToast,
} from "../../ui";

type EventPolicy = Schemas["EventPolicy"];
const GIB = 2 ** 30;
const SUBJECTS = ["keep", "hash", "omit"] as const;

function PolicyForm({ policy, etag }: { policy: EventPolicy; etag: string }) {
  const { t } = useTranslation("parent"), toast = useToast(), { may } = useSession();
  const [days, setDays] = useState(String(policy.keep_days)), [size, setSize] = useState(String(policy.size_budget_bytes / GIB)), [subject, setSubject] = useState(policy.subject), [asked, setAsked] = useState<EventPolicy | null>(null);
  useEffect(() => { setDays(String(policy.keep_days)); setSize(String(policy.size_budget_bytes / GIB)); setSubject(policy.subject); }, [policy.keep_days, policy.size_budget_bytes, policy.subject]);
  const body = {
    ...(Number(days) === policy.keep_days ? {} : { keep_days: Number(days) }),
    ...(Math.round(Number(size) * GIB) === policy.size_budget_bytes ? {} : { size_budget_bytes: Math.round(Number(size) * GIB) }),
    ...(subject === policy.subject ? {} : { subject }),
  };
  const same = Object.keys(body).length === 0;
  const store = async () => {
    await send("patch", "/api/v1/event-policy", { body, ifMatch: etag });
    toast.show({ title: t("policy_saved") });
  };
  const save = useSend(async () => {
    const would = (await send("patch", "/api/v1/event-policy", { body, ifMatch: etag, query: { dry_run: true } })).data as EventPolicy;
    if ((would.drops?.days ?? 0) > 0) setAsked(would);
    else await store();
  });
  const drop = useSend(store);
  const locked = !may("admin");
  return (
    <Form onSubmit={(e) => { e.preventDefault(); if (!same) save.mutate(); }} className="inari-login">
      <ErrorBox error={save.error} />
      {locked ? <Alert variant="info" isInline component="p" title={t("common:forbidden")}>{t("common:forbidden_help", { permission: "admin" })}</Alert> : null}
      <FormGroup label={t("keep_days")} fieldId="policy-days">
        <TextInput id="policy-days" type="number" min={1} max={3650} isDisabled={locked} value={days} onChange={(_, v) => setDays(v)} />
        <HelperText><HelperTextItem>{t("keep_days_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("size_budget")} fieldId="policy-size">
        <TextInput id="policy-size" type="number" min={0.0625} step="any" isDisabled={locked} value={size} onChange={(_, v) => setSize(v)} />
        <HelperText><HelperTextItem>{t("size_budget_help")}</HelperTextItem></HelperText>
      </FormGroup>
      <FormGroup label={t("subject")} fieldId="policy-subject">
        <FormSelect id="policy-subject" isDisabled={locked} value={subject} onChange={(_, v) => setSubject(v as EventPolicy["subject"])}>
          {SUBJECTS.map((s) => <FormSelectOption key={s} value={s} label={t(`subject_${s}`)} />)}
        </FormSelect>
        <HelperText><HelperTextItem>{t(`subject_help_${subject}`)}</HelperTextItem></HelperText>
      </FormGroup>
      <Button type="submit" isDisabled={same || locked || save.isPending} isLoading={save.isPending}>{t("common:save")}</Button>
      {asked ? (
        <ConfirmDialog title={t("drops_title")} verb={t("drops_verb")} danger typed={String(asked.drops?.days ?? 0)} onConfirm={() => drop.mutateAsync()} onClose={() => setAsked(null)}>
          <p>{t("drops", { count: asked.drops?.days ?? 0, size: bytesText(asked.drops?.bytes ?? 0) })}</p>
        </ConfirmDialog>
      ) : null}
    </Form>
  );
}

export function Policy() {
  const { t } = useTranslation("parent"), policy = useGet("/api/v1/event-policy");
  return (
    <Loaded of={policy}>
      {({ data: p, etag }) => (
        <>
          <Facts items={[
            { label: t("stored_bytes"), value: bytesText(p.stored.bytes) },
            { label: t("stored_days"), value: numberText(p.stored.days) },
            { label: t("oldest_day"), value: <Foreign text={p.stored.oldest_day ?? t("common:none")} /> },
          ]} />
          <PolicyForm policy={p} etag={etag} />
          <ApiCalls call={{ path: "/api/v1/event-policy", inarictl: "inarictl event-policy" }} />
        </>
      )}
    </Loaded>
  );
}
