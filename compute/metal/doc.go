// Package metal has the words for bare-metal nodes on which images are cached ahead of need:
// writing one takes ten minutes, booting from one that is there a fraction of that.
//
// A Scout says what there is (a Fleet), a Strategy decides what to cache where and what to eject (a
// Plan), and a Commander has it done. Those who decide (director/caching) and those who know a
// service (provider/ironic) meet here.
package metal
