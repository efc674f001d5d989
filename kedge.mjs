#!/usr/bin/env node
// What `npx kedge` runs in this folder. A file of its own, executable in git: what tsc writes anew is not.
import "./dist/cli/kedge.js";
