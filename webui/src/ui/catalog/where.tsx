// Which layer says a value, as a word and, where there is a form of it, a link there.
import { useTranslation } from "../../i18n/use";
import { Foreign } from "../text";
import type { LayerView } from "./layers";

export function LayerName({ of, here = false }: { of: Pick<LayerView, "layer" | "name">; here?: boolean }) {
  const { t } = useTranslation();
  if (here) return <>{t("catalog:here")}</>;
  if (of.layer === "builtin") return <>{t("catalog:layer_builtin")}</>;
  if (of.layer === "fleet") return <>{t("catalog:layer_fleet")}</>;
  return <>{t(of.layer === "group" ? "catalog:layer_group" : "catalog:layer_device")} <Foreign text={of.name} /></>;
}
