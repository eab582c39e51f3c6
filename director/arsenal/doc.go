// Package arsenal reads the configuration of OpenStack's Arsenal, arsenal.conf, and writes it as a
// hostler.conf. It knows all of its options with what goes without saying, and oslo.config's form:
// what Arsenal itself took no notice of is a warning here. No text that it returns has a secret in
// it; those are in Conf.Services alone.
package arsenal
