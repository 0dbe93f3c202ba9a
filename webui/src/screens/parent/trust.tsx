// Which keys the devices believe: the newest signed document.  Keys change on the parent's host only.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { ApiCalls, type Column, Command, DataTable, Facts, Foreign, Loaded, numberText, Status, Time, Title } from "../../ui";

const ROTATE = "inarid rotate-key";
type Key = Schemas["Trust"]["keys"][number];

export function Trust() {
  const { t } = useTranslation("parent"), trust = useGet("/api/v1/trust");
  const columns: Column<Key>[] = [
    { key: "use", label: t("key_use"), cell: (k) => t(`key_use_${k.use}`) },
    { key: "state", label: t("state"), cell: (k) => (k.in_force ? <Status tone="good" text={t("key_in_force")} /> : <Status tone="neutral" text={t("key_before")} />) },
    { key: "end", label: t("key_until"), cell: (k) => (k.not_after ? <Time at={k.not_after} /> : t("no_end")) },
    { key: "kid", label: t("thumbprint"), wide: true, cell: (k) => <Foreign text={k.kid} /> },
  ];
  return (
    <Loaded of={trust}>
      {({ data: d }) => (
        <>
          <p>{t("trust_help")}</p>
          <Facts items={[
            { label: t("document"), value: numberText(d.n) },
            { label: t("root"), value: <Foreign text={d.root} /> },
            { label: t("epoch"), value: numberText(d.epoch) },
            { label: t("pins"), value: <>{d.tls_pins.map((x) => <div key={x}><Foreign text={x} /></div>)}</> },
            { label: t("addresses"), value: <>{d.addresses.map((x) => <div key={x}><Foreign text={x} /></div>)}</> },
          ]} />
          <DataTable caption={t("keys")} columns={columns} rows={d.keys} rowKey={(k) => k.kid} />
          <Title headingLevel="h2">{t("rotate")}</Title>
          <p>{t("rotate_help")}</p>
          <Command label={t("rotate")} text={ROTATE} />
          <ApiCalls call={{ path: "/api/v1/trust", inarictl: "inarictl trust" }} />
        </>
      )}
    </Loaded>
  );
}
