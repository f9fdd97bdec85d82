package statements

// Reading lets tests take the places of files that are being read.
var Reading = reading
