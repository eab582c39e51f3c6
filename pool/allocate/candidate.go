package allocate

import "github.com/hostler-project/hostler/compute"

// pass tells that a decision passes over an instance of a source, or over what the source could
// make.
func (v *View) pass(s *Source, id compute.ID, why string) {
	if v.Passed != nil {
		v.Passed(s, id, why)
	}
}

// whyNot is why a ready instance is passed over.
func whyNot(i *compute.Instance, lacks, kept, dear bool) string {
	switch {
	case lacks:
		return "it is smaller than what is asked for"
	case kept:
		return "a request that comes before waits for it"
	case dear:
		return "it costs more than what is asked for"
	case i.Reason != "":
		return i.Reason
	}
	return "what is behind it cannot be reached"
}
