// The kit's names of classes: what its modules for bundlers are like, which say no types of their own.
declare module "@patternfly/react-styles/css/components/Label/label.mjs" {
  export { default } from "@patternfly/react-styles/css/components/Label/label";
}
declare module "@patternfly/react-styles/css/components/Table/table.mjs" {
  export { default } from "@patternfly/react-styles/css/components/Table/table";
}
