package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Finding returns a finding: result is ok, warn, skip or fail.
func Finding(result, what, detail, hint string) compute.Finding {
	return compute.Finding{Result: result, What: what, Detail: detail, Hint: hint}
}

// Program says which program this is, and which types of sources it has.
func Program(kinds catalog.Table) []compute.Finding {
	return []compute.Finding{
		Finding("ok", "version", version.Line(), ""),
		Finding("ok", "types", strings.Join(typeNames(kinds), " ")+", and each hostler-source-TYPE on PATH", ""),
	}
}

// CheckTime is the time limit of a check.
const CheckTime = 10 * time.Second

// engineTime is the time limit for trying all engines.
const engineTime = 30 * time.Second

// typeNames lists the types of sources, sorted.
func typeNames(kinds catalog.Table) []string {
	names := kinds.Names(func(*catalog.Kind) bool { return true })
	slices.Sort(names)
	return names
}
