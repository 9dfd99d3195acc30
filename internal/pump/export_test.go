package pump

// What the tests of package pump_test, which use package wstest, need of the others.

var PlainVocabulary = testTypes

func PlainOptions() Options { return testOptions() }

// Binary is a binary message of the plain vocabulary.
type Binary = bin

// AsFailed returns the error of a terminal event.
var AsFailed = asFailed
