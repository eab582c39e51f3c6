package missingpaths

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// explainer returns a function that says whether a sandbox hides a path, why, and what to do. empty
// says that the path is an empty directory in it.
func explainer(p compute.Provider, id compute.ID) (func(path string, empty bool) (Path, bool), error) {
	type explains interface {
		Reasons(id compute.ID) (*mask.Reasons, error)
	}
	e, ok := provider.As[explains](p)
	if !ok {
		return nil, errors.New("its source makes no sandboxes")
	}
	reasons, err := e.Reasons(id)
	if err != nil {
		return nil, err
	}
	return func(path string, empty bool) (Path, bool) {
		why, ok := reasons.Of(path)
		if !ok || empty && (why.At != path || why.Cause == mask.Fresh) {
			return Path{}, false
		}
		h := Path{At: why.At, Cause: string(why.Cause), Why: why.Why}
		as, whole := nearestKey(path)
		switch why.Cause {
		case mask.Unlisted:
			if whole {
				h.show = as
			}
			h.Line, h.Hint = "show = "+as, "add the line to the section [sandbox] of the source; whatever lies there is readable inside then"
		case mask.Asked:
			h.Hint = "take it out of `hide` in the section [sandbox] of the source"
		case mask.Others, mask.Fresh:
			h.Line, h.Hint = "mounts = "+as, "add the line to the section [sandbox] of the source, or copy it into the working tree"
		default:
			h.Hint = "do not show it, as the command could send it away: give the command what it needs alone, a token of its own with " +
				"`hostler run --secret NAME=REFERENCE`, or do that step outside"
		}
		if h.Line != "" && !whole {
			h.Hint = fmt.Sprintf("no line of a source can name it; the line shows all of the directory %s", as)
		}
		if as == "" {
			h.Line = ""
			h.Hint = "no line of a source can name it; copy it into the working tree under another name"
		}
		return h, true
	}, nil
}
