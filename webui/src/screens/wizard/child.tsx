// The first child: a command to paste on the gateway, then it appears here by itself; approved where that is wanted, looked at,
// and managed.
import { useState } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { get, send, useSend } from "../../api/use";
import { Alert, Button, Command, ErrorBox, Flex, FlexItem, Foreign, List, ListItem, Spinner, Status, useToast } from "../../ui";
import { type Device, type Placement, placementOf, type Standing } from "./standing";

/** As a here-document: a command line is seen by every process of the host, what it reads is not. */
const joinCommand = (join: string) => `inari-agent join --join-file - <<'END'\n${join}\nEND\nsystemctl enable --now inari-agent`;
const INSTALL = "deploy/install --role child";

export function JoinStep({ placement, standing, onDone }: { placement: Placement | null; standing: Standing; onDone: () => void }) {
  const { t } = useTranslation("wizard"), toast = useToast(), [join, setJoin] = useState("");
  const waiting = standing.devices.filter((d) => d.state === "pending"), joined = standing.devices.filter((d) => d.state !== "pending");
  const make = useSend(async () => {
    const body = { name: t("token_name"), uses: 1, expires_in_s: 3600, ...(placement === null ? {} : { placement: placementOf(placement) }) };
    setJoin(((await send("post", "/api/v1/enrolment-tokens", { body })).data as Schemas["EnrolmentToken"]).join ?? "");
  });
  const approve = useSend(async (d: Device) => {
    await send("post", "/api/v1/devices/{id}/approve", { path: { id: d.id }, body: {}, ifMatch: (await get("/api/v1/devices/{id}", { path: { id: d.id } })).etag });
    toast.show({ title: t("approved", { name: d.name }) });
  });
  return (
    <>
      <ErrorBox error={make.error ?? approve.error} />
      <ol className="inari-numbered">
        <li><p>{t("join_install")}</p><Command label={t("join_install_label")} text={INSTALL} /></li>
        <li>
          <p>{t("join_command")}</p>
          {join === "" ? <Button isLoading={make.isPending} onClick={() => make.mutate()}>{t("make_command")}</Button> : (
            <><Command label={t("join_command_label")} text={joinCommand(join)} /><p>{t("join_once")}</p></>
          )}
        </li>
        <li>
          {joined.length > 0 ? null : <p>{join === "" ? null : <Spinner size="md" aria-label={t("join_waiting")} />} {t("join_waiting")}</p>}
          {standing.devices.length === 0 ? null : <List isPlain>
            {waiting.map((d) => <ListItem key={d.id}><Status tone="busy" text={t("waits")} /> <Foreign text={d.name} /> <Button isLoading={approve.isPending} onClick={() => approve.mutate(d)}>{t("approve", { name: d.name })}</Button></ListItem>)}
            {joined.map((d) => <ListItem key={d.id}><Status tone="good" text={t("joined")} /> <Link to={`/devices/${encodeURIComponent(d.id)}`}><Foreign text={d.name} /></Link></ListItem>)}
          </List>}
        </li>
      </ol>
      {joined.length > 0 ? <Button onClick={onDone}>{t("go_on")}</Button> : null}
    </>
  );
}

export function ServiceStep({ standing, onDone }: { standing: Standing; onDone: () => void }) {
  const { t } = useTranslation("wizard"), toast = useToast(), there = standing.devices.filter((d) => d.state !== "pending");
  const manage = useSend(async (d: Device) => {
    await send("patch", "/api/v1/devices/{id}", { path: { id: d.id }, body: { mode: "manage" }, ifMatch: (await get("/api/v1/devices/{id}", { path: { id: d.id } })).etag });
    toast.show({ title: t("managed_now", { name: d.name }) });
  });
  return (
    <>
      <p>{t("service_help")}</p>
      <ErrorBox error={manage.error} />
      {there.length === 0 ? <Alert variant="info" isInline component="p" title={t("no_child")} /> : null}
      {there.map((d) => (
        <Flex key={d.id} className="inari-row">
          <FlexItem><Link to={`/devices/${encodeURIComponent(d.id)}`}><Foreign text={d.name} /></Link></FlexItem>
          <FlexItem><Status tone={d.mode !== "manage" ? "neutral" : d.sync === "in-sync" ? "good" : d.sync === "failed" ? "bad" : "busy"} text={t(d.mode !== "manage" ? "service_observed" : d.sync === "in-sync" ? "service_runs" : d.sync === "failed" ? "service_failed" : "service_applies")} /></FlexItem>
          {d.mode === "manage" ? null : <FlexItem><Button isLoading={manage.isPending} onClick={() => manage.mutate(d)}>{t("manage", { name: d.name })}</Button></FlexItem>}
          {d.sync === "failed" ? <FlexItem><Link to={`/devices/${encodeURIComponent(d.id)}`}>{t("see_why")}</Link></FlexItem> : null}
        </Flex>
      ))}
      {standing.done.service ? <Button onClick={onDone}>{t("go_on")}</Button> : null}
    </>
  );
}
