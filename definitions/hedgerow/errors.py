"""Everything that Hedgerow says when something is wrong: a stable code, what, which, and what to do next.

HedgerowError
├── DefinitionError   mistakes in a team's code or hedgerow.toml, all of them together (HR-D, HR-C)
├── RequestError      a selection, partition, run or setting that can't be served      (HR-Q)
├── StorageError      an output or input that can't be written or read                 (HR-S)
├── ExecutionError    a step that can't be executed as ordered                         (HR-X)
└── PlatformError     servers, database, broker or processes of the platform           (HR-P)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mistake: a stable `code` (see docs/reference/errors.md), what and which, the remedy, and where it stands.

    `file` is relative to the code location's root where it lies inside it; `line` counts from 1.
    """

    code: str
    message: str
    remedy: str
    file: str | None = None
    line: int | None = None
    traceback: str | None = None

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        where = f"\n         at {self.file}{line}" if self.file else ""
        return f"{self.code}  {self.message}{where}\n         {self.remedy}"


class HedgerowError(Exception):
    """The base of every error that Hedgerow raises on purpose; `problems` holds one or more."""

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def code(self) -> str:
        """The code of the first problem."""
        return self.problems[0].code

    @classmethod
    def of(
        cls, code: str, message: str, remedy: str, *, file: str | None = None, line: int | None = None
    ) -> HedgerowError:
        """The error of one problem."""
        return cls(Problem(code, message, remedy, file, line))


class DefinitionError(HedgerowError):
    """A team's code or its hedgerow.toml has mistakes; all that could be found are reported together."""


class RequestError(HedgerowError):
    """What was asked for can't be done: an unknown selection, partition or run, a bad setting."""


class StorageError(HedgerowError):
    """A value can't be written to, or read from, storage."""


class ExecutionError(HedgerowError):
    """A step can't be executed as it was ordered."""


class PlatformError(HedgerowError):
    """A server, the database, the broker or a process of the platform is not as it must be."""


# Every code, with the sentence that the reference page prints. A code is never reused.
CODES: dict[str, str] = {
    # C: hedgerow.toml and platform.toml
    "HR-C001": "A settings file is not valid TOML.",
    "HR-C002": "A settings file has an unknown or wrongly typed entry.",
    "HR-C003": "A settings file is missing.",
    "HR-C004": "A settings file lacks a required entry.",
    "HR-C005": "A name in a settings file breaks the grammar of names.",
    "HR-C006": "A rate or burst in a settings file can't be understood.",
    "HR-C007": "The team's interpreter does not exist or can't be executed.",
    "HR-C008": "A server of the platform is embedded and not running, so its address is not known.",
    "HR-C009": "An environment variable of Hedgerow has a value of the wrong type.",
    "HR-C010": "The file in which `hedgerow dev` says what it runs can't be read.",
    "HR-C011": "Two entries of platform.toml contradict each other.",
    "HR-C012": "Two directories are the same code location.",
    # D: definitions
    "HR-D001": "A module of the code location can't be imported.",
    "HR-D002": "A name or key breaks the grammar of names.",
    "HR-D003": "Two assets have the same key.",
    "HR-D004": "A step asks for a pool that no one declares, or for more of it than there is.",
    "HR-D005": "A parameter of a function stands for nothing that is declared.",
    "HR-D006": "Assets depend on each other in a circle.",
    "HR-D007": "A function takes the value of an asset that stores none.",
    "HR-D008": "A check is of an asset that the location does not compute.",
    "HR-D009": "An asset has two checks of the same name.",
    "HR-D010": "Metadata is no JSON object or too large.",
    "HR-D011": "A config type can't be described as JSON, or a function takes two.",
    "HR-D012": "An argument of a declaration is unknown or has a value that is not allowed.",
    "HR-D013": "A function has positional-only or variable parameters.",
    "HR-D014": "There is no instance of a resource that a function asks for.",
    "HR-D015": "There are several instances of a resource that a function asks for.",
    "HR-D016": "The annotation of a parameter can't be evaluated.",
    "HR-D017": "An io is unknown, or two have the same name.",
    "HR-D018": "A pool, job, schedule or sensor is declared twice.",
    "HR-D019": "A step asks for a queue that hedgerow.toml does not have.",
    "HR-D020": "An asset's function is a generator.",
    "HR-D021": "An upstream is declared twice, or in two ways.",
    "HR-D022": "A selection or argument of an in-process run can't be served.",
    "HR-D023": "A key limit counts by something that the steps of its asset do not have.",
    "HR-D024": "A key limit is declared twice, or in two ways.",
    "HR-D025": "A code location declares more than one may.",
    "HR-D026": "A schedule or sensor is of an asset or job that does not exist.",
    "HR-D027": "What a test needs is not installed.",
    # D1xx: partitions and mappings
    "HR-D101": "Two dimensions of a product of partitions have the same name.",
    "HR-D102": "The keys of static partitions are missing, malformed or repeated.",
    "HR-D103": "A time zone does not exist.",
    "HR-D104": "The start or end of time partitions is not the start of a window, or they are in the wrong order.",
    "HR-D105": "The name of a partition dimension breaks the grammar of names.",
    "HR-D106": "The arguments of a partition mapping make no sense.",
    "HR-D107": "A partition mapping does not fit the partitions on its two sides.",
    "HR-D108": "A cron expression does not have five fields, or means no time at all.",
    "HR-D109": "The arguments of a condition make no sense.",
    "HR-D110": "The name of a set of dynamic partitions breaks the grammar of names.",
    "HR-D112": "The periods of a freshness policy make no sense.",
    "HR-D113": "A condition asks a function that no module declares.",
    "HR-D114": "A condition asks for something that its asset does not have, and could never hold.",
    # Q: requests
    "HR-Q001": "A selection names an asset or job that does not exist.",
    "HR-Q002": "A selection leaves nothing to materialize.",
    "HR-Q003": "A selection can't be read.",
    "HR-Q004": "Partitions were given, and nothing selected is partitioned.",
    "HR-Q005": "Config was given for an asset that the run does not make.",
    "HR-Q006": "A request comes to more steps, or dependencies between them, than one run takes.",
    "HR-Q007": "A run's config does not fit what the asset takes.",
    "HR-Q008": "The number of steps that a run may have at once is below 1.",
    "HR-Q009": "What is stale was asked for of more partitions than are compared at once.",
    "HR-Q010": "A manifest declares a key that belongs to another team; it was refused whole.",
    "HR-Q011": "A manifest closes a cycle between assets; it was refused whole.",
    "HR-Q012": "The code that a waiting step needs is no longer declared.",
    "HR-Q013": "A manifest holds a name that breaks the grammar of names; it was refused whole.",
    "HR-Q014": "A request could not be planned because of a defect of the platform.",
    "HR-Q015": "A manifest contradicts itself; it was refused whole.",
    "HR-Q016": "A manifest declares a schedule, sensor or reaction that another location of the team has; it was refused whole.",
    "HR-Q017": "A selection takes too long to resolve.",
    "HR-Q018": "A manifest was put aside because terms of the scheduler have ended by it.",
    "HR-Q019": "A team's locations declare more together than one team may; the manifest was refused whole.",
    "HR-Q020": "A step was cancelled before it started.",
    "HR-Q021": "A step did not run because an upstream step failed.",
    "HR-Q022": "The asset's code skipped the step.",
    "HR-Q023": "An upstream value that a step needs was never materialized.",
    "HR-Q024": "No worker started an attempt in time; the step is dispatched again.",
    "HR-Q025": "A worker was silent for longer than its lease; the step is tried again.",
    "HR-Q026": "A step did not run because what it would make is unchanged.",
    "HR-Q027": "No worker answered an evaluation in time; it is asked for again.",
    "HR-Q028": "A step was cancelled, or left out of a backfill, because its partition was removed.",
    "HR-Q029": "A step of checks was skipped because nothing is stored that they could judge.",
    "HR-Q030": "An idempotency key was used again for another request.",
    "HR-Q031": "A run of checks only was asked for of what has no checks, or together with what goes with making.",
    "HR-Q101": "A partition does not exist, or is missing where one is needed.",
    "HR-Q102": "A partition's window is not complete yet.",
    "HR-Q103": "A range of partitions runs backwards.",
    "HR-Q104": "A step's partition mapping does not fit the partitions of its upstream.",
    "HR-Q105": "A request chooses partitions in more than one way.",
    "HR-Q106": "An asset may come to have more partitions than can be numbered.",
    "HR-Q107": "A range was asked for of partitions that have no order.",
    "HR-Q108": "A key can't be added to a set of dynamic partitions.",
    "HR-Q109": "There is no such set of dynamic partitions.",
    "HR-Q301": "The body of a request is not as it must be.",
    "HR-Q302": "The body of a request is too large.",
    "HR-Q303": "The API has no such path.",
    "HR-Q304": "There is no such run.",
    "HR-Q305": "Several runs begin with the given digits.",
    "HR-Q306": "The run has no such step.",
    "HR-Q307": "No team declares the asset.",
    "HR-Q308": "There is no such team.",
    "HR-Q309": "No manifest of the location is in force.",
    "HR-Q310": "A parameter of a request is unknown or wrong.",
    "HR-Q311": "A run that has ended can't be cancelled.",
    "HR-Q312": "There is nothing to try again.",
    "HR-Q313": "A run's tags or author are too long.",
    "HR-Q314": "A graph would be too large to show.",
    "HR-Q315": "A name breaks the grammar of names.",
    "HR-Q316": "The API has too many open streams.",
    "HR-Q317": "It is not clear what is to be explained.",
    "HR-Q318": "A path of the API does not take the method.",
    "HR-Q319": "A page of another site tried to use the API.",
    "HR-Q320": "A command line can't be understood.",
    "HR-Q321": "The value of an option can't be read.",
    "HR-Q322": "An upstream asset is declared by no team.",
    "HR-Q323": "A location's code can't be described by its interpreter.",
    "HR-Q324": "A request holds a value that the database can't hold.",
    "HR-Q325": "There is no such live worker.",
    "HR-Q326": "Several workers begin with the given digits.",
    "HR-Q331": "There is no such limit.",
    "HR-Q332": "A limit can't be set to this.",
    "HR-Q333": "A limit would be above the platform's cap.",
    "HR-Q334": "A change of a limit, or a pause, lacks its reason or author, or ends at no possible time.",
    "HR-Q335": "A run's priority can't be set to this.",
    "HR-Q340": "There is no such schedule.",
    "HR-Q341": "Something of this kind can't be paused.",
    "HR-Q342": "There is no such sensor.",
    "HR-Q343": "A sensor asks for a run and does not say of what.",
    "HR-Q344": "The answer of a sensor can't be read.",
    "HR-Q345": "The runs that a sensor asks for in one evaluation come to too many steps.",
    "HR-Q346": "There is no such request to evaluate a sensor, or it was refused.",
    "HR-Q347": "A sensor was not evaluated in time.",
    "HR-Q348": "There is no such reaction.",
    "HR-Q349": "There is no such delivery of a reaction, or it can't be told again.",
    "HR-Q360": "There is no such backfill.",
    "HR-Q361": "A backfill would have nothing to do.",
    "HR-Q362": "A setting of a backfill makes no sense.",
    "HR-Q363": "A backfill comes to more partitions or assets than one takes.",
    "HR-Q364": "A backfill is not in a state that allows what is asked.",
    "HR-Q365": "What a backfill was to make is not declared as it was when the backfill began.",
    "HR-Q366": "Several backfills begin with the given digits.",
    "HR-Q367": "A backfill ended because too many of its partitions failed.",
    "HR-Q370": "There is no such check.",
    "HR-Q380": "A time that is to be foreseen is out of bounds.",
    # S: storage
    "HR-S001": "A table can't be written as parquet.",
    "HR-S002": "A library that a value's type or the storage's URL needs is not installed.",
    "HR-S003": "An output has no format of its own and can't be pickled.",
    "HR-S004": "Another team's asset is stored as a pickle, which only its own team may open.",
    "HR-S005": "A stored value can't be loaded as the type that the parameter asks for.",
    "HR-S006": "A stored value can't be read.",
    "HR-S007": "An output can't be written to storage.",
    "HR-S008": "Several partitions can't be put together as the type that the parameter asks for.",
    "HR-S009": "A returned path is not a file.",
    "HR-S010": "A team's own io failed.",
    "HR-S011": "An asset was stored by an io that the reading location does not define.",
    "HR-S012": "A team's own io returned something other than a reference that JSON can hold.",
    "HR-S013": "A stored value is not what its format says.",
    # X: execution
    "HR-X001": "The team's code raised an exception.",
    "HR-X002": "An order asks for something that the loaded code does not declare.",
    "HR-X003": "An order is bound to other code than the runner has loaded.",
    "HR-X004": "The team's code can't be loaded: importing it raised, or ended the process.",
    "HR-X005": "A blocking check failed.",
    "HR-X006": "A parameter's upstream has no stored value.",
    "HR-X007": "What is to be reported is larger than an event may be, or can't be written as JSON.",
    "HR-X008": "A message to a runner can't be understood.",
    "HR-X101": "An order reached a worker too late to be started.",
    "HR-X102": "A worker that is leaving, or can't keep events, got an order.",
    "HR-X103": "An order reached a worker that serves another deployment, team, location or manifest.",
    "HR-X104": "A worker left before a step was done.",
    "HR-X105": "A step ran past its timeout.",
    "HR-X106": "A step reported an event that is too large.",
    "HR-X107": "The runner of a step ended in the middle of it.",
    "HR-X108": "A step that must not run on without contact to the broker was stopped.",
    "HR-X109": "A step was cancelled while it ran.",
    "HR-X110": "A step's runner took more memory than it may.",
    "HR-X201": "A run's config does not fit the function's config type.",
    "HR-X202": "A run gives a config to a function that takes none.",
    "HR-X204": "The value of an upstream asset was not given to a step.",
    "HR-X205": "A function returned something that can't be matched with its assets.",
    "HR-X206": "A function returned None, or a value, against its annotation.",
    "HR-X207": "A function returned nothing for an asset that the step asked for.",
    "HR-X208": "A check returned something that is no verdict.",
    "HR-X210": "A step's context was asked about an asset that the step does not have.",
    "HR-X211": "A step's context was asked for a partition that the step does not have.",
    "HR-X212": "A step's context was asked for the time window of a partition without time.",
    "HR-X213": "Run-time metadata is no JSON object or too large.",
    "HR-X214": "A step changes the keys of a set of partitions that its location does not use, or by a key that can't be one.",
    "HR-X221": "A blocking check of an in-process run failed.",
    "HR-X230": "A sensor or probe returned something that it may not.",
    "HR-X231": "A sensor's cursor is no text, or too large.",
    "HR-X232": "A sensor asks for too much in one evaluation.",
    "HR-X233": "A run request of a sensor has an argument that is not allowed.",
    "HR-X234": "A condition of a team's own code returned something that is no answer.",
    # P: platform
    "HR-P101": "A runner can't be started in the team's interpreter.",
    "HR-P102": "The team's code on disk is no longer the code that the worker serves.",
    "HR-P103": "A worker can't write events to its outbox.",
    "HR-P104": "A runner does not keep to the protocol.",
    "HR-P105": "A setting of a worker is wrong.",
    "HR-P106": "A message on a team's queue is not an order.",
    "HR-P107": "A worker's consumer was stuck.",
    "HR-P108": "The memory limit of a worker's runners can't be kept, or leaves them next to nothing.",
    "HR-P201": "The binaries of the embedded servers are not installed.",
    "HR-P202": "There is no account or place in which the embedded PostgreSQL could run.",
    "HR-P203": "An embedded server or another part of the platform does not start.",
    "HR-P204": "The platform of this directory is already running.",
    "HR-P205": "No code location was found.",
    "HR-P206": "A port is taken.",
    "HR-P207": "The directory for the platform's state can't be used.",
    "HR-P301": "A guarded write met another state than the leader knew; it reads its state again.",
    "HR-P302": "Another scheduler leads now; this one stands by.",
    "HR-P303": "The database's schema is not the one this program needs.",
    "HR-P350": "The platform's API can't be reached.",
    "HR-P351": "The platform's database does not answer.",
    "HR-P352": "The API failed at a request.",
    "HR-P353": "The database's schema is not the one of this version.",
    "HR-P354": "No scheduler leads.",
    "HR-P355": "The answer of the API can't be understood.",
}
