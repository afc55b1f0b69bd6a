# Wrote the files here: lm-eval 0.4.13 (transformers 5.24.0, torch 2.13.0) on the demo's tiny model.
# Run in an empty folder with a copy of curate/demo/model as `tiny`; the files under out/ are kept here.
cat > problems.jsonl <<'END'
{"question": "What is 9+5?", "answer": "9+5=14 #### 14"}
{"question": "What is 47*6?", "answer": "47*6=282 #### 282"}
{"question": "What is 8+6?", "answer": "8+6=14 #### 14"}
END
cat > sums.yaml <<'END'
task: sums
dataset_path: json
dataset_kwargs: {data_files: problems.jsonl}
test_split: train
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer.split('####')[-1].strip()}}"
generation_kwargs: {do_sample: true, temperature: 1.0, max_gen_toks: 160, until: ["</s>"]}
filter_list:
  - name: boxed
    filter:
      - {function: regex, regex_pattern: 'boxed\{(-?\d+)\}'}
      - {function: take_first}
  - name: number
    filter:
      - {function: regex, group_select: -1, regex_pattern: '(-?\d+)'}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
END
sed -e 's/^task: sums/task: sums4/' -e '/^output_type/a repeats: 4' sums.yaml > sums4.yaml
lm_eval --model hf --model_args pretrained=tiny,dtype=float32 --tasks sums,sums4 --include_path . \
  --apply_chat_template --log_samples --output_path out --device cpu --batch_size 1
