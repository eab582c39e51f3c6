package policy

// Further callers that may set a field, in requests that are not for instances.
const (
	Holder Callers = "the holder of the lease"
	Member Callers = "a user of the project"
	Admin  Callers = "administrators"
	Self   Callers = "the caller"
)

// An Action is a request of the API that changes something, with the rule of each field of its body
// and query. The permission of its route is checked first.
type Action struct {
	Operation string // its operationId in /openapi.json
	Fields    []Field
}

var (
	another = Field{Key: "any", Who: Others, Within: "leases of their projects; else the caller's own"}
	byLease = Field{Key: "token", Who: Holder, Within: "the id of a lease of the caller's projects"}
)

// Actions lists all actions. A thing that a path names must be one that the caller may see;
// otherwise it is not found.
func Actions() []Action {
	return []Action{
		{
			"acquire",
			append(documented(Fields), Field{Key: "token", Who: Self, Within: "a token for the lease that is given, and for nothing else"}),
		},
		{"apply", []Field{
			{
				Key: "things", Who: Admin,
				Within: "what config.FromAfar lets a source do that comes from afar: " +
					"no file, program or secret of the controller's machine",
			},
			{Key: "labels", Who: Admin, Within: "text; things are found again by it"},
			{Key: "prune", Who: Admin, Within: "what was applied with the same labels"},
			{Key: "take", Who: Admin, Within: "what was applied with other labels"},
			{Key: "diff", Who: Admin, Within: "it changes nothing"},
			{Key: "dry_run", Who: Admin, Within: "it changes nothing"},
		}},
		{"put-applied", []Field{
			{Key: "files", Who: Admin, Within: "as things of apply"}, {Key: "labels", Who: Admin, Within: "as of apply"},
		}},
		{"delete-applied", nil},
		{"fill", []Field{{Key: "source", Who: Admin, Within: "up to what the source wants"}}},
		{
			"hold",
			[]Field{
				another, byLease,
				{Key: "names", Who: Holder, Within: "instances under leases of the caller's; 1,000, of the owner's 100,000"},
				{Key: "reason", Who: Holder, Within: "text; shown, never acted on"},
			},
		},
		{"release", []Field{another, byLease, {Key: "force", Who: Holder, Within: "its own instance is discarded"}}},
		{"release-many", []Field{another, byLease,
			{Key: "names", Who: Holder, Within: "instances under leases of the caller's; 1,000, of the owner's 100,000"},
			{Key: "force", Who: Holder, Within: "their own instances are discarded"},
			{Key: "discard", Who: Holder, Within: "their own instances; those under no lease: administrators"},
			{Key: "ended", Who: Holder, Within: "their own instances are discarded; text, shown"}}},
		{"extend", []Field{another, byLease, {Key: "ttl", Who: Holder, Within: "the source's `max-ttl`"}}},
		{"use", []Field{another, byLease}},
		{"create-lease-token", []Field{{Key: "extend", Who: Holder, Within: "the lease's own `max-ttl`"}}},
		{"sign-in", []Field{{Key: "access_token", Who: Self, Within: "believed as far as the configured provider confirms it"},
			{Key: "id_token", Who: Self, Within: "signed by the configured provider, for this controller, fresh"},
			{Key: "verifier", Who: Self, Within: "of the sign-in that was begun"}}},
		{"open-session", nil},
		{"sign-out", nil},
		{"cancel", nil},
		{"give-up", nil},
		{"reload", nil},
		{"work", nil},
		{"test-source", nil},
		{"skip-webhook", nil},
		{"test-webhook", nil},
		{"create-token", []Field{
			{Key: "owner", Who: Admin, Within: "else the caller"},
			{Key: "project", Who: Self, Within: "one of the caller's"},
			{Key: "role", Who: Self, Within: "no higher than the caller's"},
			{Key: "permissions", Who: Self, Within: "those of the caller"},
			{Key: "source", Who: Self, Within: "what the caller's own token reaches"},
			{Key: "life", Who: Self, Within: "`token-max-life`, and the end of the caller's own token"},
			{Key: "name", Who: Self, Within: "text; shown, never acted on"},
		}},
		{"revoke-token", nil},
		{
			"supply-slap-release",
			[]Field{
				{Key: "release", Who: Member, Within: "text that the computer's own node fetches; the computer is the caller's project's"},
				{Key: "state", Who: Member, Within: "available, destroyed"},
			},
		},
		{"request-slap-instance", slapInstance(
			Field{Key: "title", Who: Member, Within: "text, unique among the caller's instances"},
			Field{Key: "shared", Who: Member, Within: "instances of software of the caller's project; the project's `shared-instances`"})},
		{"change-slap-instance", slapInstance()},
	}
}

// slapInstance returns the fields of requests for SlapOS instances, after more.
func slapInstance(more ...Field) []Field {
	return append(more,
		Field{Key: "release", Who: Member, Within: "text; the instance is placed where the master may place the caller's: docs/slapos.md"},
		Field{Key: "type", Who: Member, Within: "text that the software reads"},
		Field{Key: "parameters", Who: Member, Within: "1 MiB; text that the software reads"},
		Field{Key: "filter", Who: Member, Within: "it only narrows where the instance may be; the project's `partitions`"},
		Field{Key: "state", Who: Member, Within: "started, stopped, destroyed"},
		Field{
			Key: "unchecked", Who: Member,
			Within: "the parameters are not held against the software's schema, which is for the caller's own good",
		})
}

// documented returns the fields that are in the API's document.
func documented(all []Field) (out []Field) {
	for _, f := range all {
		if f.Key != "" {
			out = append(out, f)
		}
	}
	return out
}

// Commands has the rule of each field of compute.Command, as sent over a connection into an
// instance. The lease says which instance that is. A command may use what its instance has, and
// nothing more.
var Commands = []Field{
	{Name: "Args", Who: Holder, Within: "the instance"},
	{Name: "Dir", Who: Holder, Within: "the instance's own files"},
	{Name: "Env", Who: Holder, Within: "the command itself"},
	{Name: "User", Who: Holder, Within: "the instance's own users, by its own rules for changing to one"},
	{Name: "Stay", Who: Holder, Within: "until the lease ends"},
	{
		Name: "Aside", Who: Holder,
		Within: "it waits for no turn where `concurrency` lets commands wait: a courtesy among those who share, and no wall",
	},
	{Name: "Workspace", Who: Holder, Within: "a conversation on the same connection"},
	{Name: "Stdin", Who: Holder, Within: "the command itself"},
	{Name: "Stdout", Who: Inside},
	{Name: "Stderr", Who: Inside},
	{Name: "TTY", Who: Holder, Within: "a terminal of the instance's"},
	{Name: "Term", Who: Holder, Within: "a word in the command's environment"},
	{Name: "Resize", Who: Holder, Within: "the command's own terminal"},
	{Name: "Signals", Who: Holder, Within: "the command's own process group"},
	{Name: "Hold", Who: Holder, Within: "until the lease ends"},
}
