// All that screens are built from.
export * from "./calls";
export * from "./confirm";
export * from "./devices";
export * from "./export";
export * from "./facts";
export * from "./filter";
export * from "./icons";
export * from "./kit";
export * from "./page";
export * from "./states";
export * from "./status";
export * from "./table";
export * from "./tabs";
export * from "./text";
export * from "./time";
export * from "./toast";
export * from "./url";
