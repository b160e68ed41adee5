module dkv/ports

go 1.19
