// One device, in tabs; each tab has its own address and asks only for what it shows.
import { Link, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { ApiCalls, Empty, Flex, FlexItem, Loaded, Page, Tabs, type TabDef } from "../../ui";
import { DriftTab } from "./drift";
import { HistoryTab } from "./history";
import { hasInstances, InstancesTab } from "./instances";
import { DeviceOrders } from "./orders";
import { PathTab } from "./path";
import { QueueTab } from "./queue";
import { ServiceTab } from "./service";
import { StatusTab } from "./status";
import { SettingsTab } from "./values";
import { type Device, nameQuoted, PresenceStatus, SyncStatus } from "./words";

const REFRESH_MS = 5000;

export interface TabProps { device: Device; etag: string }

export function DeviceDetail() {
  const { id = "" } = useParams();
  return <Detail key={id} id={id} />; // nothing of the device before is ever shown under another one's name
}

function Detail({ id }: { id: string }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation();
  const device = useGet("/api/v1/devices/{id}", { path: { id } }, { every: REFRESH_MS });
  const name = device.data?.data.name ?? t("device"), crumbs = [{ to: "/devices", text: t("title") }];
  if (device.error?.status === 404 && device.data === undefined)
    return <Page title={t("no_such_device")} crumbs={crumbs}><Empty title={t("no_such_device")} action={<Link to="/devices">{t("title")}</Link>} /></Page>;
  const tabs = (props: TabProps): TabDef[] => [
    { key: "status", title: t("tab_status"), content: () => <StatusTab {...props} /> },
    { key: "path", title: t("tab_path"), content: () => <PathTab {...props} /> },
    { key: "queue", title: t("tab_queue"), content: () => <QueueTab {...props} /> },
    { key: "service", title: t("tab_service"), content: () => <ServiceTab {...props} /> },
    { key: "drift", title: t("tab_drift"), content: () => <DriftTab {...props} /> },
    { key: "settings", title: t("tab_settings"), content: () => <SettingsTab {...props} /> },
    { key: "history", title: t("tab_history"), content: () => <HistoryTab {...props} /> },
    ...(hasInstances(props.device) ? [{ key: "instances", title: t("tab_instances"), content: () => <InstancesTab {...props} /> }] : []),
  ];
  return (
    <Page title={name} crumbs={crumbs}
      actions={(
        <Flex alignItems={{ default: "alignItemsCenter" }} spaceItems={{ default: "spaceItemsSm" }}>
          {device.data ? <FlexItem><DeviceOrders device={device.data.data} etag={device.data.etag} /></FlexItem> : null}
          <FlexItem><ApiCalls call={{ path: `/api/v1/devices/${encodeURIComponent(id)}`, inarictl: `inarictl device ${nameQuoted(name)}` }} /></FlexItem>
        </Flex>
      )}>
      <Loaded of={device}>
        {({ data, etag }) => (
          <>
            <Flex spaceItems={{ default: "spaceItemsSm" }} aria-label={common("details")}>
              <FlexItem><SyncStatus device={data} /></FlexItem>
              <FlexItem><PresenceStatus device={data} /></FlexItem>
            </Flex>
            <Tabs label={name} tabs={tabs({ device: data, etag })} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
