/** The version of these packages, for where there is no package.json to read: what a pack is made by, and made anew by. */
export const VERSION = "0.1.0";
