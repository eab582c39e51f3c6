// Package provider has the words in which a kind of source describes itself. Each package
// provider/KIND exports one value, Kind, and nobody else knows the kind by its name:
//
//	var Kind = provider.New(provider.Kind{Name: "local"}, Open, takeSite)
//
// A program puts the kinds that it has into a Table and hands that to package host.
package provider
