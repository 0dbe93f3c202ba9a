// How publications roll out that do not say so themselves.
import { useEffect, useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { Alert, ApiCalls, Button, Card, CardBody, CardTitle, ErrorBox, Form, Loaded, Page, useToast } from "../../ui";
import { BUILT_IN, enteredOf, faultsOf, patchOf } from "./fields";
import { Sense, StrategyFields } from "./strategy";

function PolicyForm({ policy: p, etag }: { policy: Schemas["RolloutPolicy"]; etag: string }) {
  const { t } = useTranslation("strategy"), toast = useToast(), { may } = useSession(), before = enteredOf(p.policy), [entered, enter] = useState(before), [of, hold] = useState(p.version);
  useEffect(() => { if (of !== p.version) { hold(p.version); enter(enteredOf(p.policy)); } }, [of, p]); // somebody saved it: theirs is shown
  const patch = patchOf(before, entered), faults = faultsOf(entered), locked = !may("publish"), ready = Object.keys(patch).length > 0 && faults.length === 0;
  const save = useSend(async () => {
    await send("patch", "/api/v1/rollout-policy", { body: patch as Schemas["Strategy"], ifMatch: etag });
    toast.show({ title: t("saved") });
  });
  return (
    <div className="inari-cards">
      <Card isCompact component="section"><CardTitle component="h2">{t("sense")}</CardTitle><CardBody><Sense of={p.effective} /></CardBody></Card>
      <Form onSubmit={(e) => { e.preventDefault(); if (ready && !save.isPending) save.mutate(); }} className="inari-publish">
        <ErrorBox error={save.error} />
        {locked ? <Alert variant="info" isInline component="p" title={t("common:forbidden")}>{t("common:forbidden_help", { permission: "publish" })}</Alert> : null}
        <StrategyFields id="policy" of="policy" instead={BUILT_IN} entered={entered} onEnter={enter} locked={locked} />
        <div><Button type="submit" isDisabled={!ready || locked || save.isPending} isLoading={save.isPending}>{t("common:save")}</Button></div>
      </Form>
      <p><ApiCalls call={{ method: "PATCH", path: "/api/v1/rollout-policy", body: patch, inarictl: "inarictl rollout policy MEMBER=VALUE" }} /></p>
    </div>
  );
}

export function RolloutPolicy() {
  const { t } = useTranslation("strategy"), policy = useGet("/api/v1/rollout-policy", {}, { every: 15_000 });
  return (
    <Page title={t("policy")} crumbs={[{ to: "/rollouts", text: t("rollouts:title") }]}>
      <p className="inari-above">{t("policy_help")}</p>
      <Loaded of={policy}>{({ data, etag }) => <PolicyForm policy={data} etag={etag} />}</Loaded>
    </Page>
  );
}
