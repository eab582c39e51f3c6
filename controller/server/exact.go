package server

import (
	"maps"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/text/exactjson"
)

// exactFormats are those of bodies, of which JSON is taken as it is written.
func exactFormats() map[string]huma.Format {
	out := maps.Clone(huma.DefaultFormats)
	for name, f := range out {
		f.Unmarshal = exactjson.Unmarshal
		out[name] = f
	}
	return out
}
