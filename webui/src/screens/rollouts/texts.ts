import { addTexts } from "../../i18n";
import en from "./texts.en.json";
import ja from "./texts.ja.json";

addTexts("rollouts", { en, ja });
