// The kit's icons that are used, each by its full path: only these enter the bundle.
export { default as BarsIcon } from "@patternfly/react-icons/dist/esm/icons/bars-icon";
export { default as CheckCircleIcon } from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
export { default as ExclamationCircleIcon } from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
export { default as ExclamationTriangleIcon } from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
export { default as InfoCircleIcon } from "@patternfly/react-icons/dist/esm/icons/info-circle-icon";
export { default as InProgressIcon } from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
export { default as UserIcon } from "@patternfly/react-icons/dist/esm/icons/user-icon";
export { default as HelpIcon } from "@patternfly/react-icons/dist/esm/icons/outlined-question-circle-icon";
