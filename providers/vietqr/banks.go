package vietqr

// banks are the members of NAPAS 247 by BIN, under their short names.
var banks = map[string]string{
	"970400": "SaigonBank", "970403": "Sacombank", "970405": "Agribank", "970406": "Vikki Bank", "970407": "Techcombank",
	"970408": "GPBank", "970409": "BAC A BANK", "970410": "Standard Chartered", "970412": "PVcomBank", "970414": "MBV",
	"970415": "VietinBank", "970416": "ACB", "970418": "BIDV", "970419": "NCB", "970421": "VRB", "970422": "MB",
	"970423": "TPBank", "970424": "Shinhan Bank", "970425": "ABBANK", "970426": "MSB", "970427": "VietABank",
	"970428": "Nam A Bank", "970429": "SCB", "970430": "PGBank", "970431": "Eximbank", "970432": "VPBank",
	"970433": "VietBank", "970434": "Indovina Bank", "970436": "Vietcombank", "970437": "HDBank", "970438": "BAOVIET Bank",
	"970439": "Public Bank", "970440": "SeABank", "970441": "VIB", "970442": "Hong Leong Bank", "970443": "SHB",
	"970444": "VCBNeo", "970446": "Co-opBank", "970448": "OCB", "970449": "LPBank", "970452": "KienlongBank",
	"970454": "BVBank", "970455": "IBK Ha Noi", "970456": "IBK HCM", "970457": "Woori Bank", "970458": "UOB",
	"970462": "Kookmin Ha Noi", "970463": "Kookmin HCM", "422589": "CIMB", "458761": "HSBC", "533948": "Citibank",
	"546034": "CAKE", "546035": "Ubank", "668888": "KBank", "796500": "DBS", "801011": "Nonghyup", "963388": "Timo",
	"971005": "Viettel Money", "971011": "VNPT Money", "999888": "VBSP",
}

// BankName returns the short name of the bank with this BIN, empty when it is not known.
func BankName(bin string) string { return banks[bin] }
