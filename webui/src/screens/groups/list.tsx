// The groups of devices in the order in which they count: of two, the one with the higher priority wins.
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { useSession } from "../../frame/session";
import { ApiCalls, Button, type Column, DataTable, Empty, Flex, FlexItem, Foreign, Label, Loaded, Page, pageOf, Pager, useUrlState } from "../../ui";
import { GroupForm } from "./form";

type Group = Schemas["Group"];
const REFRESH_MS = 10_000;

export function GroupList() {
  const { t } = useTranslation("groups"), { may } = useSession(), url = useUrlState(), query = pageOf(url), go = useNavigate(), [making, setMaking] = useState(false);
  const groups = useGet("/api/v1/groups", { query }, { every: REFRESH_MS });
  const columns: Column<Group>[] = [
    { key: "name", label: t("name"), wide: true, cell: (g) => <Link to={`/groups/${g.id}`}><Foreign text={g.name} /></Link> },
    { key: "priority", label: t("priority"), number: true, cell: (g) => g.priority },
    { key: "kind", label: t("kind"), cell: (g) => (g.kind === "mx" ? <Label isCompact color="blue">{t("kind_mx")}</Label> : t("kind_set")) },
    { key: "settings", label: t("settings"), cell: (g) => <Link to={`/settings?layer=${encodeURIComponent(`group:${g.name}`)}`}>{t("its_settings")}</Link> },
  ];
  const make = may("device:write") ? <Button onClick={() => setMaking(true)}>{t("new_group")}</Button> : null;
  return (
    <Page title={t("title")} actions={<Flex><FlexItem>{make}</FlexItem><FlexItem><ApiCalls call={{ path: "/api/v1/groups", inarictl: "inarictl groups" }} /></FlexItem></Flex>}>
      <Loaded of={groups}>
        {({ data }) => (
          <>
            <DataTable caption={t("title")} columns={columns} rows={data.items.toSorted((a, b) => b.priority - a.priority)} rowKey={(g) => g.id} empty={<Empty title={t("no_groups")}>{t("no_groups_help")}</Empty>} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
      {making ? <GroupForm group={null} etag="" onClose={() => setMaking(false)} onDone={(g) => { setMaking(false); void go(`/groups/${g.id}`); }} /> : null}
    </Page>
  );
}
