import "@patternfly/react-core/dist/styles/base.css";
import "./ui/style.css";
import "./i18n";
import { TextsProvider } from "./i18n/use";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { Frame } from "./frame/frame";
import { SessionProvider } from "./frame/session";
import { showTheme } from "./frame/theme";
import { ToastProvider } from "./ui";

showTheme();
const queries = new QueryClient();
const root = document.getElementById("root");
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <BrowserRouter>
          <TextsProvider>
            <ToastProvider>
              <SessionProvider><Frame /></SessionProvider>
            </ToastProvider>
          </TextsProvider>
        </BrowserRouter>
      </QueryClientProvider>
    </StrictMode>,
  );
