// Which layer the settings of the screen belong to: all devices, one group, one device; it is in the URL ("layer").
import { useQueries } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "../../i18n/use";
import { ApiError } from "../../api/client";
import type { Place } from "../../api/draft";
import { get, useGet } from "../../api/use";
import { Button, Flex, FlexItem, FormSelect, FormSelectOption, TextInput, useToast, useUrlState } from "../../ui";
import type { LayerView, Values } from "../../ui/catalog";

export interface Layers {
  place: Place;
  layer: LayerView;
  below: LayerView[];
  ready: boolean;
  error: unknown;
}
const view = (layer: LayerView["layer"], id: string, name: string, settings: unknown): LayerView => ({ layer, id, name, settings: (settings ?? {}) as Values });

/** The layer of the URL with what is published at it, and the layers below. */
export function useLayers(spec: string): Layers {
  const [kind = "", ref = ""] = spec.split(/:(.*)/s, 2), device = kind === "device", group = kind === "group";
  const fleet = useGet("/api/v1/settings", { query: { layer: "fleet" } });
  const theGroup = useGet("/api/v1/groups/{id}", { path: { id: ref } }, { enabled: group });
  const theDevice = useGet("/api/v1/devices/{id}", { path: { id: ref } }, { enabled: device });
  const groups = useGet("/api/v1/groups", { query: { limit: 500 } }, { enabled: device });
  const own = useGet("/api/v1/settings", { query: { layer: spec } }, { enabled: group || device });
  const current = device ? theDevice.data?.data : group ? theGroup.data?.data : undefined;
  const names = device ? (theDevice.data?.data.groups ?? []) : [];
  const of = (groups.data?.data.items ?? []).filter((g) => names.includes(g.name)).toSorted((a, b) => a.priority - b.priority);
  const between = useQueries({ queries: of.map((g) => ({ queryKey: ["layer", g.id], queryFn: () => get("/api/v1/settings", { query: { layer: `group:${g.id}` } }) })) });
  const error = [fleet, ...(group ? [theGroup, own] : []), ...(device ? [theDevice, own, groups] : []), ...between].map((q) => q.error).find((e) => e !== null) ?? null;
  const all = view("fleet", "", "", fleet.data?.data.settings);
  if (!group && !device) return { place: { part: "fleet", id: "" }, layer: all, below: [], ready: fleet.data !== undefined, error };
  const right = current !== undefined && (current.id === ref || current.name === ref), seen = own.data !== undefined && !own.isPlaceholderData;
  const ready = fleet.data !== undefined && right && seen && (group || (groups.data !== undefined && between.every((q) => q.data !== undefined)));
  return {
    place: { part: group ? "groups" : "devices", id: current?.id ?? "" },
    layer: view(group ? "group" : "device", current?.id ?? "", current?.name ?? ref, own.data?.data.settings),
    below: [all, ...of.map((g, i) => view("group", g.id, g.name, between[i]?.data?.data.settings))], ready, error,
  };
}

/** Choose the layer; groups by list, a device by its name. */
export function LayerPicker({ spec }: { spec: string }) {
  const { t } = useTranslation("settings"), url = useUrlState(), toast = useToast(), [name, setName] = useState("");
  const groups = useGet("/api/v1/groups", { query: { limit: 500 } }), devices = useGet("/api/v1/devices", { query: { limit: 50 } });
  const go = (layer: string) => url.set({ layer: layer === "fleet" ? "" : layer }, { push: true });
  const toDevice = async () => {
    try {
      go(`device:${(await get("/api/v1/devices/{id}", { path: { id: name.trim() } })).data.name}`);
      setName("");
    } catch (e) {
      if (e instanceof ApiError && e.status === 404) toast.show({ title: t("no_device", { name: name.trim() }), kind: "warning" });
      else toast.fail(e);
    }
  };
  const listed = spec === "fleet" || (groups.data?.data.items ?? []).some((g) => spec === `group:${g.name}`);
  return (
    <Flex className="inari-layer" alignItems={{ default: "alignItemsCenter" }}>
      <FlexItem>
        <FormSelect aria-label={t("layer")} value={spec} onChange={(_, v) => go(v)}>
          <FormSelectOption value="fleet" label={t("layer_fleet")} />
          {(groups.data?.data.items ?? []).map((g) => <FormSelectOption key={g.id} value={`group:${g.name}`} label={t("layer_group", { name: g.name })} />)}
          {listed ? null : <FormSelectOption value={spec} label={t("layer_device", { name: spec.replace(/^[a-z]+:/, "") })} />}
        </FormSelect>
      </FlexItem>
      <FlexItem>
        <form onSubmit={(e) => { e.preventDefault(); if (name.trim() !== "") void toDevice(); }} className="inari-inline">
          <TextInput aria-label={t("device_name")} placeholder={t("device_name")} list="layer-devices" value={name} onChange={(_, v) => setName(v)} autoComplete="off" spellCheck={false} />
          <datalist id="layer-devices">{(devices.data?.data.items ?? []).map((d) => <option key={d.id} value={d.name} />)}</datalist>
          <Button type="submit" variant="secondary" isDisabled={name.trim() === ""}>{t("show_device")}</Button>
        </form>
      </FlexItem>
    </Flex>
  );
}
