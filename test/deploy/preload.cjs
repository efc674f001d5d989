// Loaded into every process of the suite before all else: names of AWS and of the emulator are this machine's; any other is
// refused, so that nothing reaches a real AWS.
const dns = require("node:dns");

const { lookup } = dns;
const OURS = /(^|\.)localhost$|\.cloudfront\.net$|\.amazonaws\.com$/;

dns.lookup = (host, options, done) => {
  if (typeof options === "function") return dns.lookup(host, {}, options);
  const { all = false } = typeof options === "object" && options !== null ? options : {};
  if (host === "127.0.0.1") return lookup(host, options, done);
  if (!OURS.test(host)) return process.nextTick(done, new Error(`${host} is no name of the emulator`));
  const address = "127.0.0.1";
  if (all) process.nextTick(done, null, [{ address, family: 4 }]);
  else process.nextTick(done, null, address, 4);
};
