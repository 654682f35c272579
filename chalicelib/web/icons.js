/** Line drawings on a grid of 24, by channel, kind of identity or use. No vendor's mark among them. */

/** @type {Record<string, string[]>} */
export const ICONS = {
  app: ["M8 3h8a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 16 21H8a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 8 3z", "M11 18h2"],
  away: ["M14 5h5v5", "M19 5l-8 8", "M17 14v4a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1h4"],
  bubble: ["M12 3.5c5 0 9 3 9 7s-4 7-9 7c-.9 0-1.8-.1-2.6-.3L5 20.5l.6-4.6C4 14.6 3 12.7 3 10.5c0-4 4-7 9-7z"],
  clip: ["M18 11l-6.5 6.5a3.5 3.5 0 0 1-5-5L13.5 5.5a2.4 2.4 0 0 1 3.5 3.5l-6.5 6.5a1.2 1.2 0 0 1-1.7-1.7L14.5 8"],
  crm: ["M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z", "M3 20c0-3.5 2.5-6 6-6s6 2.5 6 6", "M16 5h5M17 9h4M18 13h3"],
  desk: ["M4 13v-1a8 8 0 0 1 16 0v1", "M4 13h3v5H5.5A1.5 1.5 0 0 1 4 16.5z", "M20 13h-3v5h1.5a1.5 1.5 0 0 0 1.5-1.5z", "M18 18c0 2-2 3-5 3"],
  dot: ["M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z"],
  email: ["M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z", "M3.5 7l8.5 6.5L20.5 7"],
  fax: ["M7 9V4h10v5", "M5 9h14a1.5 1.5 0 0 1 1.5 1.5V17H17v-2H7v2H3.5v-6.5A1.5 1.5 0 0 1 5 9z", "M7 15v5h10v-5"],
  login: ["M8 15a4 4 0 1 1 3.9-5H21v3h-2v2h-3v-2h-4.1A4 4 0 0 1 8 15z"],
  loyalty: ["M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z", "M3 10h18", "M7 14.5h4"],
  ok: ["M5 12.5l4.5 4.5L19 7.5"],
  parked: ["M12 4l9 16H3z", "M12 10v4.5", "M12 17v.5"],
  post: ["M4 18V9.5A3.5 3.5 0 0 1 7.5 6H17a3.5 3.5 0 0 1 3.5 3.5V18z", "M4 18h16.5", "M11 18V9.5A3.5 3.5 0 0 0 7.5 6", "M14 11h3.5v2.5"],
  question: ["M9 9.2a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4", "M12 17.5v.5", "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z"],
  shop: ["M5 8h14l1 12H4z", "M8.5 8V7a3.5 3.5 0 0 1 7 0v1"],
  slow: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M12 7.5V12l3 2"],
  sms: ["M5 5h14a1.5 1.5 0 0 1 1.5 1.5v8A1.5 1.5 0 0 1 19 16h-7l-4.5 4v-4H5a1.5 1.5 0 0 1-1.5-1.5v-8A1.5 1.5 0 0 1 5 5z", "M8 10.5v.01M12 10.5v.01M16 10.5v.01"],
  store: ["M4 10v10h16V10", "M3 9l2-5h14l2 5a3 3 0 0 1-6 0 3 3 0 0 1-6 0 3 3 0 0 1-6 0z", "M10 20v-5h4v5"],
  survey: ["M6 4h12a1 1 0 0 1 1 1v15l-3.5-2-3.5 2-3.5-2L5 20V5a1 1 0 0 1 1-1z", "M9 9l1.5 1.5L14.5 7", "M9 14h6"],
  thread: ["M4 5c6 0 4 7 8 7s2 7 8 7", "M4 3.7a1.3 1.3 0 1 0 0 2.6 1.3 1.3 0 0 0 0-2.6z", "M20 17.7a1.3 1.3 0 1 0 0 2.6 1.3 1.3 0 0 0 0-2.6z"],
  voice: ["M6.5 3.5l3 .5 1 4-2 1.5c1 2.2 2.8 4 5 5l1.5-2 4 1 .5 3c-.3 2.3-2 3.5-4 3.5C9.5 19.5 4 14 3.5 7.5c0-2 1-3.7 3-4z"],
  web: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M3 12h18", "M12 3c3 3 3.5 6 3.5 9S15 18 12 21c-3-3-3.5-6-3.5-9S9 6 12 3z"],
  webchat: ["M4 4.5h10A1.5 1.5 0 0 1 15.5 6v5a1.5 1.5 0 0 1-1.5 1.5H9l-3.5 3v-3H4A1.5 1.5 0 0 1 2.5 11V6A1.5 1.5 0 0 1 4 4.5z", "M18.5 9H20a1.5 1.5 0 0 1 1.5 1.5v5A1.5 1.5 0 0 1 20 17h-1.5v3L15 17h-3"],
  way_in: ["M19 5L6 18", "M6 9v9h9"],
  way_internal: ["M5 9h14", "M5 15h14"],
  way_out: ["M5 19L18 6", "M9 6h9v9"],
};

/** Chat services are a bubble with a letter. @type {Record<string, string>} */
export const LETTERS = {
  facebook: "f", instagram: "i", line: "L", matrix: "#", messenger: "M", slack: "S", telegram: "T", viber: "V",
  wechat: "We", whatsapp: "W", x: "X",
};

/** Kinds of identity whose drawing has another name. @type {Record<string, string>} */
export const OF_KIND = { phone: "voice" };
