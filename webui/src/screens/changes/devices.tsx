// The devices a draft hits; behind each what changes in its files, beside what it has been given now.
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { Button, Card, CardBody, CardTitle, type Column, DataTable, Empty, ErrorBox, Foreign, Loading, Modal, ModalBody, ModalFooter, ModalHeader } from "../../ui";
import { Findings } from "./findings";

type Hit = Schemas["DraftDiff"]["devices"][number];
type Checked = Schemas["DraftCheck"]["devices"][number];
type Plan = Schemas["Plan"];
interface Line { key: string; where: string; old: string; new: string }
const SHOWN = 50;

/** main.cf and the tables' lines that differ. */
export function planLines(was: Plan, is: Plan): Line[] {
  const lines: Line[] = [], before = was.parameters ?? {}, after = is.parameters ?? {};
  for (const name of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort())
    if (before[name] !== after[name]) lines.push({ key: `main ${name}`, where: name, old: before[name] ?? "", new: after[name] ?? "" });
  const tables = (p: Plan) => new Map((p.tables ?? []).map((x) => [x.name, x.content.split("\n").filter((l) => l !== "")]));
  const old = tables(was), fresh = tables(is);
  for (const name of new Set([...old.keys(), ...fresh.keys()])) {
    const a = new Set(old.get(name) ?? []), b = new Set(fresh.get(name) ?? []);
    for (const l of a) if (!b.has(l)) lines.push({ key: `${name} -${l}`, where: name, old: l, new: "" });
    for (const l of b) if (!a.has(l)) lines.push({ key: `${name} +${l}`, where: name, old: "", new: l });
  }
  const services = (p: Plan) => new Map((p.services ?? []).map((x) => { const o = x as Record<string, unknown>; return [`${String(o["service"])}/${String(o["type"])}`, JSON.stringify(o)]; }));
  const s1 = services(was), s2 = services(is);
  for (const name of new Set([...s1.keys(), ...s2.keys()])) if (s1.get(name) !== s2.get(name)) lines.push({ key: `master ${name}`, where: name, old: s1.get(name) ?? "", new: s2.get(name) ?? "" });
  return lines;
}

function Files({ device, plan, onClose }: { device: Hit; plan: Checked | undefined; onClose: () => void }) {
  const { t } = useTranslation("changes"), now = useGet("/api/v1/devices/{id}/plan", { path: { id: device.id } });
  const lines = plan?.plan === undefined || now.data === undefined ? [] : planLines(now.data.data.plan, plan.plan);
  const columns: Column<Line>[] = [
    { key: "where", label: t("file_item"), wide: true, cell: (l) => <code>{l.where}</code> },
    { key: "old", label: t("before"), wide: true, cell: (l) => <code><Foreign text={l.old} /></code> },
    { key: "new", label: t("after"), wide: true, cell: (l) => <code><Foreign text={l.new} /></code> },
  ];
  return (
    <Modal isOpen variant="large" onClose={onClose} aria-labelledby="files-title">
      <ModalHeader title={t("files_of", { name: device.name })} labelId="files-title" />
      <ModalBody>
        <ErrorBox error={now.error} onRetry={() => void now.refetch()} />
        {plan === undefined ? <Loading /> : <Findings items={plan.findings} />}
        {plan !== undefined && now.data !== undefined ? <DataTable caption={t("files_of", { name: device.name })} columns={columns} rows={lines} rowKey={(l) => l.key} empty={<Empty title={t("no_files")} />} /> : null}
      </ModalBody>
      <ModalFooter><Button onClick={onClose}>{t("close", { ns: "common" })}</Button></ModalFooter>
    </Modal>
  );
}

export function DeviceChanges({ devices, plans }: { devices: Hit[]; plans: Checked[] }) {
  const { t } = useTranslation("changes"), [open, setOpen] = useState<Hit | null>(null);
  const columns: Column<Hit>[] = [
    { key: "name", label: t("device"), wide: true, cell: (d) => <Foreign text={d.name} /> },
    { key: "changes", label: t("settings_changed"), number: true, cell: (d) => d.changes ?? 0 },
  ];
  return (
    <Card isCompact component="section">
      <CardTitle component="h2">{t("devices_title", { count: devices.length })}</CardTitle>
      <CardBody>
        <DataTable caption={t("devices_title", { count: devices.length })} columns={columns} rows={devices.slice(0, SHOWN)} rowKey={(d) => d.id}
          actions={(d) => <Button variant="link" size="sm" aria-label={t("files_of", { name: d.name })} onClick={() => setOpen(d)}>{t("files")}</Button>} />
        {devices.length > SHOWN ? <p className="inari-note">{t("devices_shown", { shown: SHOWN, count: devices.length })}</p> : null}
        {open === null ? null : <Files device={open} plan={plans.find((p) => p.id === open.id)} onClose={() => setOpen(null)} />}
      </CardBody>
    </Card>
  );
}
