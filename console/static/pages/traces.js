// Kept traces: what is new is counted, and shown on a click.

import { countFresh, leaveOutEmpty } from "../kept.js";

countFresh();
leaveOutEmpty(document.getElementById("asked"));
