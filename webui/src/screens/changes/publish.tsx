// Publishing, restoring, undoing: the reason, how it rolls out, and what the parent wants to hear for a large or doubtful one.
import { lazy, type ReactNode, Suspense, useState } from "react";
import { useTranslation } from "../../i18n/use";
import { ApiError, type Schemas } from "../../api/client";
import { useSend } from "../../api/use";
import type { Answer } from "../../api/client";
import { useSession } from "../../frame/session";
import { Alert, Button, Card, CardBody, CardTitle, ErrorBox, Form, FormGroup, FormHelperText, FormSelect, FormSelectOption, HelperText, HelperTextItem, TextArea, TextInput } from "../../ui";

import { type Entered, faultsOf, patchOf } from "../rollouts/fields";

const Details = lazy(() => import("../rollouts/details"));

export type Publish = Schemas["Publish"];
export type Published = Schemas["Published"];
type Conflict = Schemas["Conflict"];

interface Props {
  title: string;
  verb: string;
  forceable: boolean;
  /** Taking back asks for no strategy: it goes as the policy says. */
  plain?: boolean;
  reason?: string;
  send: (body: Publish) => Promise<Answer<Published>>;
  onDone: (done: Published) => void;
  conflicts?: (items: Conflict[]) => ReactNode;
}

export function PublishForm({ title, verb, forceable, plain = false, reason: first = "", send, onDone, conflicts }: Props) {
  const { t } = useTranslation("changes"), { may } = useSession();
  const [reason, setReason] = useState(first), [strategy, setStrategy] = useState("policy"), [force, setForce] = useState(""), [typed, setTyped] = useState(""), [entered, enter] = useState<Entered>({});
  // On to what comes next before everything is asked for anew: the draft is gone by then, and this form with it.
  const go = useSend(async (body: Publish) => onDone((await send(body)).data)), error = go.error instanceof ApiError ? go.error : null;
  const reach = error?.problem.type?.endsWith("confirmation-needed") ? error.problem.reach : undefined;
  const refused = (error?.problem.errors ?? []).some((f) => f.forceable), wantsForce = forceable || refused;
  const stale = error?.problem.type?.endsWith("stale-draft") ? (error.problem.conflicts ?? []) : [];
  const ready = reason.trim() !== "" && (!wantsForce || force.trim() !== "") && (reach === undefined || typed === String(reach.devices)) && !go.isPending && faultsOf(entered).length === 0;
  const submit = () => {
    if (!ready) return;
    const how = { ...(strategy === "policy" ? {} : strategy === "urgent" ? { expedite: true } : { strategy }), ...patchOf({}, entered) };
    go.mutate({ reason: reason.trim(), ...(wantsForce ? { force: { reason: force.trim() } } : {}), ...(Object.keys(how).length === 0 ? {} : { rollout: how as unknown as Schemas["Strategy"] }), ...(reach === undefined ? {} : { confirm: reach.devices }) });
  };
  if (!may("publish")) return <Alert variant="info" isInline component="p" title={t("may_not_publish")} />;
  return (
    <Card isCompact component="section">
      <CardTitle component="h2">{title}</CardTitle>
      <CardBody>
        {stale.length > 0 && conflicts !== undefined ? conflicts(stale) : reach === undefined ? <ErrorBox error={go.error} /> : null}
        <Form onSubmit={(e) => { e.preventDefault(); submit(); }} className="inari-publish">
          <FormGroup label={t("reason", { ns: "common" })} fieldId="publish-reason" isRequired>
            <TextArea id="publish-reason" rows={2} maxLength={500} isRequired value={reason} onChange={(_, v) => setReason(v)} aria-describedby="publish-reason-help" />
            <FormHelperText><HelperText id="publish-reason-help"><HelperTextItem>{t("reason_help")}</HelperTextItem></HelperText></FormHelperText>
          </FormGroup>
          {plain ? null : (
            <FormGroup label={t("strategy")} fieldId="publish-strategy">
              <FormSelect id="publish-strategy" value={strategy} onChange={(_, v) => setStrategy(v)}>
                {["policy", "all", "waves", "urgent"].map((x) => <FormSelectOption key={x} value={x} label={t(`strategy_${x}`)} />)}
              </FormSelect>
              <Suspense fallback={null}><Details entered={entered} onEnter={enter} /></Suspense>
            </FormGroup>
          )}
          {wantsForce ? (
            <FormGroup label={t("force")} fieldId="publish-force" isRequired>
              <TextArea id="publish-force" rows={2} maxLength={500} isRequired value={force} onChange={(_, v) => setForce(v)} />
            </FormGroup>
          ) : null}
          {reach === undefined ? null : (
            <Alert variant="warning" isInline component="p" role="alert" title={t("confirm_title", { devices: reach.devices, of: reach.of })}>
              <FormGroup label={t("confirm_type", { count: reach.devices })} fieldId="publish-confirm" isRequired>
                <TextInput id="publish-confirm" inputMode="numeric" autoComplete="off" className="inari-narrow" isRequired value={typed} onChange={(_, v) => setTyped(v.trim())} />
              </FormGroup>
            </Alert>
          )}
          <div><Button type="submit" variant={wantsForce || reach !== undefined ? "danger" : "primary"} isDisabled={!ready} isLoading={go.isPending}>{verb}</Button></div>
        </Form>
      </CardBody>
    </Card>
  );
}
