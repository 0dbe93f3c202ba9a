// The settings catalog.  Labels come in the language that was asked for: another language is another answer.
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useTranslation } from "../i18n/use";
import type { Schemas } from "./client";
import { get } from "./use";

export function useCatalog() {
  const { i18n } = useTranslation();
  return useQuery({ queryKey: ["catalog", i18n.language], queryFn: () => get("/api/v1/catalog"), staleTime: 600_000 });
}
/** By key; empty until it is there. */
export function useSettings(): Map<string, Schemas["Setting"]> {
  const items = useCatalog().data?.data.items;
  return useMemo(() => new Map((items ?? []).map((s) => [s.key, s])), [items]);
}
