import {
  type Access,
  accessEvent,
  type Context,
  type Interaction,
  type System,
  sessionEvent,
  type User,
} from "./auditevent.ts";
import { below, percent, pick, type Random, seeded, weighted } from "./random.ts";

/** An event as the system that recorded it hands it to the forwarding agent. */
export type HospitalEvent = {
  /** The recording system. */
  source: string;
  /** The event's number at its source, from 1, without a gap. */
  sequence: bigint;
  /** A FHIR R4 AuditEvent. */
  resource: object;
};

/**
 * A day of accesses in a made-up hospital, ordered by `recorded`. The same options give the same events, to the byte.
 *
 * Three shifts of staff sign in, open the charts of their ward's patients and sign out; five systems record it. Now and
 * then somebody opens a chart of another ward (break the glass), is denied, or mistypes a password. Nobody is real.
 *
 * `seed` is a whole number taken modulo 2^32, `date` is YYYY-MM-DD. Throws RangeError.
 */
export function hospitalDay(options: {
  seed: number;
  date: string;
  events?: number;
}): Generator<HospitalEvent> {
  const { seed, date, events = 500 } = options;
  const midnight = Date.parse(`${date}T00:00:00.000Z`);
  if (Number.isNaN(midnight) || !new Date(midnight).toISOString().startsWith(`${date}T`)) {
    throw new RangeError("The date is not a day of the calendar as YYYY-MM-DD.");
  }
  if (!Number.isSafeInteger(seed)) throw new RangeError("The seed is not a whole number.");
  if (!Number.isSafeInteger(events) || events < 0)
    throw new RangeError("The number of events is not a whole number.");
  return generate(seeded(seed), date, midnight, events);
}

function* generate(random: Random, date: string, midnight: number, events: number): Generator<HospitalEvent> {
  const hospital = populate(random, events);
  const sequences = new Map<string, bigint>();
  for (const time of timesOfDay(random, events)) {
    const { staff, record } = nextActivity(random, hospital, time);
    const { system } = staff.unit;
    const sequence = (sequences.get(system.name) ?? 0n) + 1n;
    sequences.set(system.name, sequence);
    const resource = record({
      id: `${system.name}-${date}-${sequence}`,
      recorded: new Date(midnight + time).toISOString(),
      system,
      user: staff.user,
    });
    yield { source: system.name, sequence, resource };
  }
}

// Who is there

type Shift = "day" | "evening" | "night";
type Role = keyof typeof WORK;
type Unit = {
  name: string;
  system: System;
  roles: readonly (readonly [weight: number, role: Role])[];
  hasBeds: boolean;
};
type Patient = { reference: string; unit: Unit };
type Staff = { user: User; role: Role; unit: Unit; shift: Shift; chart: Chart | undefined };

/** The patient whose record somebody is working in; `foreign` if that is not theirs to treat. */
type Chart = { patient: Patient; foreign: boolean };

type Hospital = {
  staff: ReadonlyMap<Shift, readonly Staff[]>;
  patients: readonly Patient[];
  patientsOf: ReadonlyMap<Unit, readonly Patient[]>;
  /** In the order in which they signed in. */
  signedIn: Set<Staff>;
};

const system = (name: string): System => ({ name, url: `https://${name}.hospital.example/fhir` });
const INPATIENT = system("ehr-inpatient");
const EMERGENCY = system("ehr-emergency");
const LABORATORY = system("laboratory");
const IMAGING = system("imaging");
const PHARMACY = system("pharmacy");

const WARD_ROLES = [
  [6, "nurse"],
  [3, "physician"],
  [1, "clerk"],
] as const;
const ward = (name: string, at: System): Unit => ({ name, system: at, roles: WARD_ROLES, hasBeds: true });

const UNITS: readonly (readonly [weight: number, unit: Unit])[] = [
  [20, ward("Emergency", EMERGENCY)],
  [20, ward("Internal Medicine", INPATIENT)],
  [16, ward("Surgery", INPATIENT)],
  [12, ward("Intensive Care", INPATIENT)],
  [8, ward("Maternity", INPATIENT)],
  [8, ward("Paediatrics", INPATIENT)],
  [7, { name: "Laboratory", system: LABORATORY, roles: [[1, "laboratory scientist"]], hasBeds: false }],
  [5, { name: "Imaging", system: IMAGING, roles: [[1, "radiographer"]], hasBeds: false }],
  [4, { name: "Pharmacy", system: PHARMACY, roles: [[1, "pharmacist"]], hasBeds: false }],
];
const BEDS = UNITS.filter(([, unit]) => unit.hasBeds);

/** In turn over the staff, so that six people fill every shift. */
const SHIFTS: readonly Shift[] = ["day", "evening", "day", "night", "day", "evening"];

function populate(random: Random, events: number): Hospital {
  const staff = Array.from({ length: Math.max(SHIFTS.length, Math.ceil(events / 20)) }, (_, index): Staff => {
    const unit = UNITS[index]?.[1] ?? weighted(random, UNITS); // each unit once, then by size
    const role = weighted(random, unit.roles);
    const number = String(index + 1).padStart(4, "0");
    return {
      user: {
        id: `syn-${number}`,
        name: `Synthetic ${role} ${number}`,
        role: `${role}, ${unit.name}`,
        workstation: {
          name: `ws-${number}.hospital.example`,
          ip: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
        },
      },
      role,
      unit,
      shift: SHIFTS[index % SHIFTS.length] ?? "day",
      chart: undefined,
    };
  });
  const patients = Array.from({ length: Math.max(12, Math.ceil(events / 5)) }, (_, index): Patient => {
    return { reference: `Patient/syn-${String(index + 1).padStart(6, "0")}`, unit: weighted(random, BEDS) };
  });
  return {
    staff: new Map(SHIFTS.map((shift) => [shift, staff.filter((person) => person.shift === shift)])),
    patients,
    patientsOf: new Map(BEDS.map(([, unit]) => [unit, patients.filter((patient) => patient.unit === unit)])),
    signedIn: new Set(),
  };
}

// When it happens

const HOUR = 3_600_000;

/** Accesses in each hour from midnight, in proportion: rounds in the morning, visits in the afternoon, a quiet night. */
const HOURLY = [2, 2, 1, 1, 2, 3, 5, 10, 13, 14, 13, 12, 9, 11, 12, 11, 9, 7, 6, 6, 5, 4, 3, 3].map(
  (weight, hour) => [weight, hour] as const,
);

/** Milliseconds since midnight, ascending. */
function timesOfDay(random: Random, events: number): number[] {
  const times = Array.from({ length: events }, () => weighted(random, HOURLY) * HOUR + below(random, HOUR));
  return times.sort((a, b) => a - b);
}

function shiftAt(time: number): Shift {
  const hour = Math.floor(time / HOUR);
  if (hour < 7 || hour >= 23) return "night";
  return hour < 15 ? "day" : "evening";
}

// What they do

type Activity = { staff: Staff; record: (context: Context) => object };

/** Somebody signs out after their shift, signs in before anything else, or works. Changes whom it picks. */
function nextActivity(random: Random, hospital: Hospital, time: number): Activity {
  const { signedIn } = hospital;
  const shift = shiftAt(time);
  const [earliest] = signedIn;
  if (earliest !== undefined && earliest.shift !== shift && percent(random, 50)) {
    signedIn.delete(earliest);
    earliest.chart = undefined;
    return { staff: earliest, record: (context) => sessionEvent(context, { kind: "logout", failed: false }) };
  }
  const staff = pick(random, hospital.staff.get(shift) ?? []);
  if (!signedIn.has(staff)) {
    const failed = percent(random, 5);
    if (!failed) signedIn.add(staff);
    return { staff, record: (context) => sessionEvent(context, { kind: "login", failed }) };
  }
  if (staff.chart === undefined || percent(random, 30)) staff.chart = openChart(random, hospital, staff.unit);
  const access = accessOf(random, staff.role, staff.chart);
  return { staff, record: (context) => accessEvent(context, access) };
}

/** Mostly of the own ward. A laboratory, imaging or pharmacy has no beds and serves all wards. */
function openChart(random: Random, { patients, patientsOf }: Hospital, unit: Unit): Chart {
  const own = patientsOf.get(unit) ?? [];
  const patient = pick(random, own.length > 0 && !percent(random, 4) ? own : patients);
  return { patient, foreign: unit.hasBeds && patient.unit !== unit };
}

/** A role's accesses: how often, which interaction, on which type of resource. */
const WORK = {
  nurse: [
    [14, "read", "Patient"],
    [16, "search-type", "Observation"],
    [26, "create", "Observation"],
    [12, "read", "MedicationRequest"],
    [16, "create", "MedicationAdministration"],
    [6, "update", "CarePlan"],
    [3, "vread", "CarePlan"],
    [1, "delete", "Observation"],
    [3, "search-type", "Location"],
  ],
  physician: [
    [14, "read", "Patient"],
    [16, "search-type", "Observation"],
    [14, "read", "DiagnosticReport"],
    [10, "search-type", "Condition"],
    [8, "update", "Condition"],
    [12, "create", "MedicationRequest"],
    [8, "create", "ServiceRequest"],
    [2, "delete", "MedicationRequest"],
    [3, "read", "PlanDefinition"],
  ],
  clerk: [
    [28, "search-type", "Patient"],
    [14, "update", "Patient"],
    [14, "create", "Encounter"],
    [12, "update", "Encounter"],
    [8, "create", "Coverage"],
    [6, "search-type", "Schedule"],
    [3, "create", "Schedule"],
    [3, "update", "Location"],
    [1, "delete", "Schedule"],
  ],
  "laboratory scientist": [
    [20, "search-type", "ServiceRequest"],
    [30, "create", "Observation"],
    [20, "create", "DiagnosticReport"],
    [10, "update", "DiagnosticReport"],
    [4, "update", "Device"],
  ],
  radiographer: [
    [20, "search-type", "ServiceRequest"],
    [20, "create", "ImagingStudy"],
    [20, "read", "ImagingStudy"],
    [10, "update", "Appointment"],
    [4, "read", "Device"],
  ],
  pharmacist: [
    [24, "search-type", "MedicationRequest"],
    [16, "read", "AllergyIntolerance"],
    [20, "create", "MedicationDispense"],
    [10, "read", "Medication"],
    [4, "search-type", "Medication"],
  ],
} as const;

/** Types of resource that are about no patient. */
const IMPERSONAL: ReadonlySet<string> = new Set([
  "Device",
  "Location",
  "Medication",
  "PlanDefinition",
  "Schedule",
]);

function accessOf(random: Random, role: Role, { patient, foreign }: Chart): Access {
  const [interaction, type] = weighted<readonly [Interaction, string]>(
    random,
    WORK[role].map(([weight, ...work]) => [weight, work]),
  );
  const about = IMPERSONAL.has(type) ? undefined : patient.reference;
  const ordinary = role === "clerk" ? "HOPERAT" : "TREAT";
  return {
    interaction,
    target:
      interaction === "search-type" ? queryOf(type, about) : referenceOf(random, type, about, interaction),
    ...(about === undefined ? {} : { patient: about }),
    purpose: foreign && about !== undefined ? "BTG" : ordinary,
    denied: percent(random, 1),
    requestId: uuidOf(random),
  };
}

function queryOf(type: string, patient: string | undefined): string {
  if (patient === undefined) return `${type}?status=active`;
  return type === "Patient"
    ? `Patient?_id=${patient.slice("Patient/".length)}`
    : `${type}?patient=${patient}`;
}

function referenceOf(
  random: Random,
  type: string,
  patient: string | undefined,
  interaction: Interaction,
): string {
  const reference =
    type === "Patient" && patient !== undefined
      ? patient
      : `${type}/syn-${String(below(random, 1_000_000)).padStart(6, "0")}`;
  return interaction === "vread" ? `${reference}/_history/${1 + below(random, 5)}` : reference;
}

/** A UUID of version 4 (RFC 9562 §5.4) from the seeded draws. */
function uuidOf(random: Random): string {
  const digits = Array.from({ length: 4 }, () => random().toString(16).padStart(8, "0")).join("");
  const variant = pick(random, ["8", "9", "a", "b"]);
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(13, 16)}`,
    `${variant}${digits.slice(17, 20)}`,
    digits.slice(20),
  ].join("-");
}
