#!/usr/bin/env bash
# Show what lookcast does: install it, stylize example photos, specialise the shipped look to one style photo, stylize a
# photo that it was not trained on, and write a page about it. After the installation it takes about three minutes on
# two CPU cores. It needs no account, no GPU and no data. Arguments go to `lookcast train`:
# scripts/quickstart.sh style=sample:winter
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh ""
# This also compiles Python's modules and the kernel, so that the commands below do not have to.
"$bin/lookcast" doctor
out=quickstart
for ((number = 2; ; number++)); do # never write over an earlier quickstart
  mkdir "$out" 2>/dev/null && break
  out=quickstart-$number
done
photo=$("$bin/python" -c 'from lookcast import examples; print(examples.contents()["lake"])')
start=$SECONDS

echo "1 of 4: the shipped look, on example photos"
"$bin/lookcast" stylize --demo -o "$out/demo"
echo
echo "2 of 4: specialise the shipped look to one style photo"
"$bin/lookcast" train experiment=quickstart hydra.run.dir="$out/run" "$@"
echo
echo "3 of 4: stylize a photo that was not trained on"
"$bin/lookcast" stylize "$photo" --checkpoint "$out/run/look.safetensors" -o "$out/lake.jpg"
echo
echo "4 of 4: a page that shows everything"
"$bin/python" scripts/quickstart_page.py "$out"
echo
echo "done in $((SECONDS - start)) s; open $PWD/$out/index.html"
echo "next, for your own photos:  source $venv/bin/activate"
echo "  lookcast stylize PHOTO --style STYLE_PHOTO"
echo "  lookcast stylize PHOTO --checkpoint $out/run/look.safetensors"
echo "  lookcast train experiment=single_look init_from=universal_free style=STYLE_PHOTO"
