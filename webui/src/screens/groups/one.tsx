// One group: its members, its place, the way to its settings.
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { send, useGet, useSend } from "../../api/use";
import { useSession } from "../../frame/session";
import { ApiCalls, Button, Card, CardBody, CardTitle, type Column, ConfirmDialog, DataTable, Empty, ErrorBox, Facts, Flex, FlexItem, Foreign, Loaded, Page, TextInput, useToast } from "../../ui";
import { GroupForm } from "./form";

type Group = Schemas["Group"];
type Member = NonNullable<Group["members"]>[number];

function AddMember({ group }: { group: Group }) {
  const { t } = useTranslation("groups"), toast = useToast(), [name, setName] = useState(""), [force, setForce] = useState("");
  const devices = useGet("/api/v1/devices", { query: { limit: 100 } });
  const add = useSend(async (device: string) => {
    await send("put", "/api/v1/groups/{id}/members/{device}", { path: { id: group.id, device }, query: force.trim() === "" ? {} : { force: force.trim() } });
    toast.show({ title: t("added", { name: device }) });
    setName("");
    setForce("");
  });
  const wantsForce = (add.error?.problem.errors ?? []).some((f) => f.forceable), there = new Set((group.members ?? []).map((m) => m.name));
  return (
    <>
      <ErrorBox error={add.error} />
      <form className="inari-inline" onSubmit={(e) => { e.preventDefault(); if (name.trim() !== "") add.mutate(name.trim()); }}>
        <TextInput aria-label={t("device")} placeholder={t("device")} list="group-devices" value={name} onChange={(_, v) => setName(v)} autoComplete="off" spellCheck={false} />
        <datalist id="group-devices">{(devices.data?.data.items ?? []).filter((d) => !there.has(d.name)).map((d) => <option key={d.id} value={d.name} />)}</datalist>
        {wantsForce ? <TextInput aria-label={t("force")} placeholder={t("force")} value={force} onChange={(_, v) => setForce(v)} maxLength={500} /> : null}
        <Button type="submit" variant="secondary" isDisabled={name.trim() === "" || add.isPending}>{t("add")}</Button>
      </form>
    </>
  );
}

function Members({ group }: { group: Group }) {
  const { t } = useTranslation("groups"), { may } = useSession(), toast = useToast(), queries = useQueryClient(), [out, setOut] = useState<Member | null>(null);
  const columns: Column<Member>[] = [{ key: "name", label: t("device"), wide: true, cell: (m) => <Link to={`/devices/${m.name ?? ""}`}><Foreign text={m.name} /></Link> }];
  return (
    <Card isCompact component="section">
      <CardTitle component="h2">{t("members", { count: group.members?.length ?? 0 })}</CardTitle>
      <CardBody>
        <DataTable caption={t("members", { count: group.members?.length ?? 0 })} columns={columns} rows={group.members ?? []} rowKey={(m) => m.id ?? ""} empty={<Empty title={t("no_members")} />}
          {...(may("device:write") ? { actions: (m: Member) => <Button variant="link" size="sm" aria-label={t("take_out_of", { name: m.name })} onClick={() => setOut(m)}>{t("take_out")}</Button> } : {})} />
        {may("device:write") ? <AddMember group={group} /> : null}
        {out === null ? null : (
          <ConfirmDialog title={t("take_out_title", { name: out.name, group: group.name })} verb={t("take_out")} onClose={() => setOut(null)}
            onConfirm={async () => {
              await send("delete", "/api/v1/groups/{id}/members/{device}", { path: { id: group.id, device: out.id ?? "" } });
              toast.show({ title: t("taken_out", { name: out.name }) });
              await queries.invalidateQueries();
            }}>
            <p>{t("take_out_help")}</p>
          </ConfirmDialog>
        )}
      </CardBody>
    </Card>
  );
}

export function GroupPage() {
  const { t } = useTranslation("groups"), { id = "" } = useParams(), { may } = useSession(), go = useNavigate(), toast = useToast();
  const group = useGet("/api/v1/groups/{id}", { path: { id } }), name = group.data?.data.name ?? "", [open, setOpen] = useState<"edit" | "delete" | null>(null);
  const etag = group.data?.etag ?? "";
  return (
    <Page title={name === "" ? t("title") : t("group", { name })} crumbs={[{ to: "/groups", text: t("title") }]} actions={<ApiCalls call={{ path: `/api/v1/groups/${id}`, inarictl: `inarictl group members ${name}` }} />}>
      <Loaded of={group}>
        {({ data: g }) => (
          <div className="inari-cards">
            <Card isCompact component="section">
              <CardTitle component="h2">{t("about")}</CardTitle>
              <CardBody>
                <Facts items={[
                  { label: t("kind"), value: t(`kind_${g.kind}`) },
                  { label: t("priority"), value: g.priority },
                  { label: t("settings"), value: <Link to={`/settings?layer=${encodeURIComponent(`group:${g.name}`)}`}>{t("its_settings")}</Link> },
                ]} />
                {may("device:write") ? (
                  <Flex>
                    <FlexItem><Button variant="secondary" onClick={() => setOpen("edit")}>{t("edit_group")}</Button></FlexItem>
                    <FlexItem><Button variant="secondary" isDanger onClick={() => setOpen("delete")}>{t("delete_group")}</Button></FlexItem>
                  </Flex>
                ) : null}
              </CardBody>
            </Card>
            <Members group={g} />
            {open === "edit" ? <GroupForm group={g} etag={etag} onClose={() => setOpen(null)} onDone={() => setOpen(null)} /> : null}
            {open === "delete" ? (
              <ConfirmDialog title={t("delete_title", { name: g.name })} verb={t("delete_group")} danger typed={g.name} disabled={group.isError} onClose={() => setOpen(null)}
                onConfirm={async () => {
                  await send("delete", "/api/v1/groups/{id}", { path: { id: g.id }, ifMatch: etag });
                  toast.show({ title: t("deleted", { name: g.name }) });
                  void go("/groups");
                }}>
                <p>{t("delete_help", { count: g.members?.length ?? 0 })}</p>
              </ConfirmDialog>
            ) : null}
          </div>
        )}
      </Loaded>
    </Page>
  );
}
