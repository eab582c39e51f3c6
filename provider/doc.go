// Package provider has what a provider or a connection may be able to do beyond compute.Provider
// and compute.Conn. Each ability is a small interface. Of finds those of a provider, once, when its
// source is opened.
package provider
