// Package catalog has the words in which a kind of source describes itself. Each package
// provider/KIND exports one value, Kind. No other package knows the kind by its name:
//
//	var Kind = catalog.New(catalog.Kind{Name: "local"}, Open, takeSite)
//
// A program puts its kinds into a Table and hands the table to package host.
package catalog
