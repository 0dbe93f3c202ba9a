// Devices as the events name them: a link while they exist, else what is left of them.
import { useTranslation } from "../i18n/use";
import { AreaLink } from "../frame/arealink";
import { deviceLink } from "../frame/links";
import { Foreign } from "./text";

export interface NamedDevice { id: string; name: string | null }
export function DeviceName({ device }: { device: NamedDevice }) {
  const { t } = useTranslation();
  return device.name === null ? <span title={device.id}>{t("deleted_device")}</span> : <AreaLink to={deviceLink(device.name)}><Foreign text={device.name} /></AreaLink>;
}
export function DeviceNames({ devices }: { devices: NamedDevice[] }) {
  return <>{devices.map((d, i) => <span key={d.id}>{i > 0 ? " → " : ""}<DeviceName device={d} /></span>)}</>;
}
