package cloud

import "context"

// providers are the kinds of clouds that Options.Provider may name.
var providers = map[string]func(context.Context, Setup) (Door, error){}
